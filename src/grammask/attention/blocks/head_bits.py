"""What each head may read, one bit a head: one look-up answers for 14 heads, and masks are made from its bits.

A look-up costs several times what an operation on whole vectors does, so that heads are told apart after it.
"""

from typing import Final

import torch
from torch import Tensor

from ...grammar.caching import cache_outside_modes
from ..tracing import is_tracing

_HEADS: Final[int] = 14  # bits 1 to 14 of 16; bit 0 stays unused, see `additive_mask`
EVERY: Final[int] = -1  # all heads
NONE: Final[int] = 0


def pack_heads(table: Tensor) -> Tensor:
    """Pack a bool table (heads, cells) into bits: int16 (words, cells)."""
    heads = len(table)
    words = -(-heads // _HEADS)
    bits = _bits(-(-heads // words), table.device)[:, :, 0]
    return torch.stack([(part * bits[: len(part)]).sum(0, dtype=torch.int16) for part in torch.split(table, len(bits))])


def bool_mask(cells: Tensor, heads: int) -> Tensor:
    """Return bits (batch, words, queries, keys) as a mask (batch, heads, queries, keys), True for "may read"."""
    return _of_heads(cells, heads).to(torch.bool)


def additive_mask(cells: Tensor, heads: int, dtype: torch.dtype, *, out: Tensor | None = None) -> Tensor:
    """Return the mask that `bool_mask` does as attention adds it to its scores: 0, or -inf for a blocked pair.

    It is written to `out` where that is given.
    PyTorch's own attention turns a bool mask into this form in every layer.
    """
    bits = _of_heads(cells.bitwise_not(), heads)
    blocked = bits.to(dtype) if out is None else out.copy_(bits)
    # A bit is 2 at least: times the lowest number it overflows to -inf, in two passes that vectorise.
    return blocked.mul_(torch.finfo(dtype).min)


def numbered_mask(cells: Tensor, heads: int, number: float) -> Tensor:
    """Return `number` where `bool_mask` is True, else 0, in float32."""
    # A bit is a power of 2, so that dividing by it is exact: once for each head, not for each pair.
    shares = number / _bits(-(-heads // cells.shape[1]), cells.device).to(torch.float32)
    return _of_heads(cells, heads).to(torch.float32).mul_(shares.repeat(cells.shape[1], 1, 1)[:heads])


def _of_heads(cells: Tensor, heads: int) -> Tensor:
    bits = _bits(-(-heads // cells.shape[1]), cells.device)
    return (cells[:, :, None] & bits).flatten(1, 2)[:, :heads]


def _bits(heads: int, device: torch.device) -> Tensor:
    """Return a bit for each of the heads of a word: int16 (heads, 1, 1)."""
    return _make_bits(heads, device) if is_tracing() else _kept_bits(heads, device)


@cache_outside_modes
def _kept_bits(heads: int, device: torch.device) -> Tensor:
    return _make_bits(heads, device)


def _make_bits(heads: int, device: torch.device) -> Tensor:
    powers = torch.arange(1, heads + 1, dtype=torch.int16, device=device)
    return torch.bitwise_left_shift(torch.ones_like(powers), powers)[:, None, None]
