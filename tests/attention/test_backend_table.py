"""One table of backends: what else names them agrees with it."""

import re
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from grammask.attention.backends import (
    BACKENDS,
    DENSE,
    FLEX,
    FOR_CPU,
    SPARSE,
    TABLE,
    BackendName,
    Kernel,
    Reaches,
    backend_for,
    check_backend,
)
from grammask.bench.settings import BenchConfig
from grammask.errors import GrammarError
from grammask.grammar.rules import STRATEGIES

KERNELS_MD = Path(__file__).parents[2] / "docs" / "kernels.md"


def test_types_and_kernels_name_what_the_table_does():
    assert get_args(BackendName) == BACKENDS == ("auto", *TABLE)
    assert BenchConfig().backends == FOR_CPU
    assert set(get_args(Kernel)) == {backend.kernel for backend in TABLE.values()}


def test_the_page_on_kernels_lists_the_table():
    table = next(part for part in KERNELS_MD.read_text(encoding="utf-8").split("\n\n") if "\n| `dense` |" in part)
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", table, flags=re.MULTILINE)
    assert rows == [(backend.name, backend.description) for backend in TABLE.values()]


def test_every_guided_layer_has_a_sparse_backend_and_dense_does_all():
    for strategy, reaches in product(STRATEGIES, get_args(Reaches)):
        assert DENSE.does(strategy, reaches)
        if strategy != "full":
            assert backend_for(strategy, reaches).does(strategy, reaches)
            assert backend_for(strategy, reaches, "cuda") == FLEX != backend_for(strategy, reaches, "cpu")


@pytest.mark.parametrize("backend", SPARSE, ids=lambda backend: backend.name)
def test_what_a_backend_cannot_do_is_refused_with_what_can(backend):
    for strategy, reaches in product(("hard", "soft"), get_args(Reaches)):
        if backend.does(strategy, reaches):
            check_backend(backend.name, strategy, reaches, "mine")
        else:
            with pytest.raises(GrammarError, match=f'use backend="{backend_for(strategy, reaches).name}"'):
                check_backend(backend.name, strategy, reaches, "mine")
