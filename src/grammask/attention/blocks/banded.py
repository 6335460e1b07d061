"""Bounded reach: chunks of queries over windows of keys, linear in length.

A text is cut into chunks of queries; each chunk sees the window of keys that its reaches can touch, under a small
mask. A window is a view of the keys, so that each chunk is a block of its own. A few columns may lie beside it: the
structural tokens that others may read, and sink tokens. Then a chunk's keys are copied, and small chunks share a block.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .bands import Band
from .block import Block, BlockGroup, as_bias, find_empty, in_lanes
from .head_bits import EVERY, NONE, additive_mask, bool_mask
from .lookup import PairLookup, take_cells
from .text import Text
from .tokens import Tokens

# In pairs that cost about as much: what a chunk pays for each of its keys beside its pairs, and more if it copies them.
LOADING: Final[int] = 8
COPYING: Final[int] = 16
_STARTING: Final[int] = 8  # a block with copied keys costs so many times what starting it does, at least


def in_reading_order(words: NDArray[np.int64]) -> bool:
    """Tell whether word or sentence numbers never decrease within a text, as windows need; -1 means none."""
    numbered = words[words >= 0]
    return bool((np.diff(numbered) >= 0).all())


def banded_blocks(lookup: PairLookup, text: Text, band: Band, *, accumulates: bool, start: int) -> BlockGroup:
    """Return the blocks of a band over one text; `start` is what starting a block costs, in pairs."""
    queries = text.queries
    chunk, stack = _sizes(band.width(queries), len(band.columns), start)
    step = chunk * stack
    blocks: list[Block] = []
    for first in range(0, len(queries), step):
        blocks.append(_block(lookup, text, band, queries[first : first + step], chunk, blocks[-1:]))
    every = np.arange(len(text))
    return BlockGroup(
        text=text.number, rows=text.rows(queries), keys=text.keys(every), blocks=tuple(blocks), accumulates=accumulates
    )


def chunk_near(best: float, *, most: int) -> int:
    """Return a power of 2 near a number of queries, which the fused kernel takes without a rest: 32 at least."""
    return 1 << round(math.log2(min(max(best, 32), most)))


def _sizes(width: float, columns: int, start: int) -> tuple[int, int]:
    """Return how many queries a chunk has and how many chunks share a block, for windows of about this width.

    Longer chunks waste more pairs at the edges of their windows; shorter ones start more blocks, or copy more keys.
    """
    best = math.sqrt((LOADING + COPYING) * width if columns else LOADING * width + start)
    chunk = chunk_near(best, most=256)
    pairs = chunk * (chunk + width + columns)
    return chunk, max(1, round(_STARTING * start / pairs)) if columns else 1


def _block(
    lookup: PairLookup, text: Text, band: Band, queries: NDArray[np.int64], size: int, before: Sequence[Block]
) -> Block:
    """Return the block of some queries; a mask that is the same as that of the block `before` is shared with it."""
    chunk = min(size, len(queries))
    stack = -(-len(queries) // chunk)
    at = np.arange(0, len(queries), chunk)
    opens, closes = np.minimum.reduceat(band.opens[queries], at), np.maximum.reduceat(band.closes[queries], at)
    width = min(in_lanes(int((closes - opens).max()) + len(band.columns)) - len(band.columns), len(text))
    opens = np.minimum(opens, len(text) - width)
    rows = queries[np.minimum(np.arange(stack * chunk), len(queries) - 1)].reshape(stack, chunk)
    window = opens[:, None] + np.arange(width)
    beside = np.broadcast_to(band.columns, (stack, len(band.columns)))
    is_view = stack == 1 and not len(band.columns)
    bias, empty = _bias(lookup, text, band, rows, window)
    if before and isinstance(shared := before[0].bias, Tensor) and torch.equal(shared, bias):
        bias = shared
    return Block(
        rows=slice(int(queries[0]) - text.first, int(queries[-1]) + 1 - text.first),
        keys=slice(int(opens[0]), int(opens[0]) + width)
        if is_view
        else torch.from_numpy(np.concatenate([window, beside], 1).reshape(-1)),
        pairs=stack * chunk * (width + len(band.columns)),
        stack=stack,
        chunk=chunk,
        bias=bias,
        empty=empty,
    )


def _bias(
    lookup: PairLookup, text: Text, band: Band, rows: NDArray[np.int64], window: NDArray[np.int64]
) -> tuple[Tensor, Tensor | None]:
    """Return the mask or bias of a slab's pairs, as `Block.bias` and `Block.empty`.

    `rows` (stack, queries) and `window` (stack, keys) are tokens of the text.
    """
    within = None if text.is_free else torch.from_numpy(text.within(rows, window))[:, None]
    if band.cells is None:
        assert within is not None  # noqa: S101 - such a band has nothing but the model's own mask
        return as_bias(within), None
    queries, keys = text.annotated.at(torch.from_numpy(rows)), text.annotated.at(torch.from_numpy(window))
    cells = take_cells(band.cells, lookup.index(queries, keys))
    if not band.hard:
        return cells if within is None else cells.masked_fill_(~within, -torch.inf), find_empty(cells)
    bits = _with_itself_and_sinks(lookup, band, cells, queries, rows, window)
    if within is not None:
        bits.masked_fill_(~within, NONE)
    if len(band.columns):
        bits = torch.cat([bits, _of_columns(lookup, text, band, queries, rows)], -1)
    # Where document reach lets a word read itself, it may have nothing left to read here.
    empty = find_empty(bool_mask(bits, lookup.heads)) if band.may_be_empty else None
    # Masks of many heads stay bits, a twentieth of the memory.
    return bits if lookup.heads > 1 else additive_mask(bits, 1, torch.float32), empty


def _with_itself_and_sinks(
    lookup: PairLookup, band: Band, bits: Tensor, queries: Tokens, rows: NDArray[np.int64], window: NDArray[np.int64]
) -> Tensor:
    """Return the mask of a window's pairs, in bits, with what isn't in the cells."""
    inside = torch.from_numpy(band.inside)[queries.tags]
    # Structural tokens read themselves, unless document reach lets them; words are in the cells already.
    stack, row = (queries.query_words < 0).nonzero(as_tuple=True)
    itself = lookup.document_bits.diagonal(dim1=1, dim2=2)[:, queries.tags[stack, row]].bitwise_not()
    itself.masked_fill_(inside[stack, row], EVERY)
    bits[stack, :, row, torch.from_numpy(rows - window[:, :1])[stack, row]] = itself.T
    sinks = torch.from_numpy(band.sinks[window])[:, None, None]
    if bool(sinks.any()):
        bits.masked_fill_(sinks, NONE).masked_fill_(sinks & inside[:, None, :, None], EVERY)
    return bits


def _of_columns(lookup: PairLookup, text: Text, band: Band, queries: Tokens, rows: NDArray[np.int64]) -> Tensor:
    """Return the mask of the pairs with the columns beside a window, in bits."""
    columns = torch.from_numpy(band.columns)
    readable = lookup.document_bits[:, queries.tags[..., None], text.annotated.tags[columns]].transpose(0, 1)
    readable.masked_fill_(torch.from_numpy(band.sinks[band.columns]), EVERY)
    if not text.is_free:
        beside = np.broadcast_to(band.columns, (len(rows), len(band.columns)))
        readable.masked_fill_(~torch.from_numpy(text.within(rows, beside))[:, None], NONE)
    return readable
