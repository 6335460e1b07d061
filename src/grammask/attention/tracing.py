"""Tracing: `torch.compile`, `torch.export` and ONNX turn a forward pass into a graph, and only tensors go into it.

No number can be read out of a tensor then, and nothing can be kept for later calls. So a traced call takes the dense
path, and what is checked of the numbers in its inputs becomes an assertion of the graph.
"""

import torch
from torch import Tensor

from ..errors import InputError
from .backends import DENSE, TABLE


def is_tracing() -> bool:
    """Tell whether the running code is being made into a graph."""
    return torch.compiler.is_compiling()


def is_read_later(tensor: Tensor) -> bool:
    """Tell whether numbers of a tensor must not be read now: in a trace, and on a GPU, where that would wait for it."""
    return is_tracing() or tensor.is_cuda


def assert_all(holds: Tensor, message: str) -> None:
    """Let the graph, or the GPU, raise `RuntimeError` at each run in which not all of `holds` (bool) is True.

    A GPU prints the message to standard error, and the process cannot use it any more.
    """
    torch._assert_async(holds.all(), message)


def check_traceable(backend: str) -> None:
    """Raise `InputError` for a backend that was asked for by name and cannot be traced."""
    if TABLE.get(backend, DENSE) is not DENSE:
        raise InputError(
            f'backend {backend!r} cannot be traced (torch.compile, torch.export, ONNX): attach with backend="auto" or '
            '"dense", which take the dense path there'
        )
