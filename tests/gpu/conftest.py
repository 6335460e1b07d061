"""Tests that need a GPU: skipped where PyTorch finds none."""

import pytest
import torch


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if "/gpu/" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason="PyTorch finds no GPU here"))
