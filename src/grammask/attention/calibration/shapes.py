"""Blocks of chosen shapes, as no text would make them, so that each part of the work can be timed by itself."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..blocks.block import Block, BlockGroup, TokenIndex


def block(first: int, queries: int, keys: int, *, bias: Tensor | Callable[[], Tensor] | None = None) -> Block:
    """Return a block of `queries` from `first` on, over the first `keys`."""
    return Block(rows=slice(first, first + queries), keys=slice(0, keys), pairs=queries * keys, bias=bias)


def blocks(count: int, queries: int, keys: int) -> tuple[Block, ...]:
    """Return blocks of equal shape, one after the other."""
    return tuple(block(place * queries, queries, keys) for place in range(count))


def band(stack: int, chunk: int, keys: int, length: int) -> Block:
    """Return a stack of chunks, each over windows of `keys`, under a mask of floats."""
    firsts = (torch.arange(stack, dtype=torch.int64, device="cpu") * chunk).clamp(max=length - keys)
    windows = firsts[:, None] + torch.arange(keys, dtype=torch.int64, device="cpu")
    bias = torch.zeros(stack, 1, chunk, keys, dtype=torch.float32, device="cpu")
    return Block(slice(0, stack * chunk), windows.reshape(-1), stack * chunk * keys, stack, chunk, bias)


def group(
    made: Sequence[Block], rows: int, keys: int, *, shuffled: bool = False, accumulates: bool = False
) -> BlockGroup:
    """Return a group of the first text, over its first `rows` and `keys`, in reading order or `shuffled`."""
    order = np.random.default_rng(0).permutation
    at = [TokenIndex.of(order(count) if shuffled else np.arange(count)) for count in (rows, keys)]
    return BlockGroup(0, at[0], at[1], tuple(made), accumulates=accumulates)
