"""Scratch memory for copies that live as short as one piece of work.

A fresh buffer of a few MiB costs a page fault every 4 KiB, which at moderate lengths is a large part of the whole
attention. So each thread keeps its buffers, up to a size at which the faults no longer count. What is taken under a
name is overwritten when the name is next used: it must never leave the function that took it.
"""

import math
import threading
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from ..grammar.caching import outside_inference_mode

_KEPT: Final[int] = 4 << 20  # bytes of the largest buffer that is kept


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.by_name: dict[tuple[str, torch.dtype], Tensor] = {}


_BUFFERS: Final = _Buffers()


def scratch(name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return a contiguous CPU tensor with whatever is in it."""
    count = math.prod(shape)
    if count * dtype.itemsize > _KEPT:
        return torch.empty(*shape, dtype=dtype, device="cpu")
    buffer = _BUFFERS.by_name.get((name, dtype))
    if buffer is None or len(buffer) < count:
        with outside_inference_mode():
            buffer = _BUFFERS.by_name[name, dtype] = torch.empty(count, dtype=dtype, device="cpu")
    return buffer[:count].view(*shape)
