"""Rectangles of queries and keys under causality or a wide window: exact, and almost all without masks.

Queries of one kind, in reading order, are cut into chunks. All queries of a chunk may read the keys between the
last window's opening and the first one's closing: a rectangle without a mask, which under causality is a prefix of the
keys. What only some of them may read, the chunk's own diagonal and the other edge of a window, is a small masked
rectangle. Those are stacked, so that there are few calls.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .banded import COPYING, LOADING, chunk_near
from .block import LANES, Block, BlockGroup, TokenIndex, as_bias, as_slice, find_empty, in_lanes
from .text import Text

_SLAB: Final[int] = 8  # chunks whose edges are stacked, where they are so narrow that copying them is the cheaper way


@dataclass(frozen=True, eq=False)
class Rectangle:
    """Queries `rows` of a text that all read the same `keys`, both ascending, as far as its windows let them.

    `bias` (heads or 1, queries or 1, keys) is added to the scores, with one row for all queries where windows limit
    them; `table_row` names a row of a learned strength table.
    """

    rows: NDArray[np.int64]
    keys: NDArray[np.int64]
    heads: Tensor | None = None
    bias: Tensor | None = None
    table_row: int | None = None


def limited_blocks(
    text: Text, rectangle: Rectangle, *, accumulates: bool, start: int, starts: NDArray[np.int64] | None = None
) -> BlockGroup:
    """Return the blocks of a rectangle: the masked edges of its chunks, and what needs no mask.

    Unless `accumulates`, the edges must let every query read something, as they do where it reads itself. `start` is
    what starting a block costs, in pairs. `starts` are the queries that chunks begin with; None cuts equal chunks.
    """
    rows = text.rows(rectangle.rows)
    if starts is None:
        at = np.arange(0, len(rectangle.rows), _chunk(rectangle, start))
    else:
        at = np.unique(np.searchsorted(rectangle.rows, starts[starts <= rectangle.rows[-1]]))
    chunks = _Chunks.of(text, rectangle, at)
    slab = 1 if starts is not None or COPYING * chunks.edge > start else _SLAB
    blocks = []
    for first in range(0, len(chunks.starts), slab):
        some = chunks.at(slice(first, first + slab))
        if some.edge > 0 or not accumulates:
            blocks.append(_edges(text, rectangle, some))
    blocks += _insides(rectangle, chunks)
    return _group(text, rectangle, rows, blocks, accumulates=accumulates)


def _chunk(rectangle: Rectangle, start: int) -> int:
    """Return how many queries a chunk has: more make the masked edges wider, fewer start more blocks."""
    rows, keys = len(rectangle.rows), len(rectangle.keys)
    best = math.sqrt((2 * start + LOADING * keys / 2) * rows / keys)
    return chunk_near(best, most=512)


def whole_blocks(text: Text, rectangles: Sequence[Rectangle]) -> BlockGroup:
    """Return the blocks of rectangles with the same keys where the model's own mask lets all of them be read."""
    blocks = []
    done = 0
    for rectangle in rectangles:
        count = len(rectangle.rows)
        blocks.append(_unmasked(rectangle, slice(done, done + count), slice(0, len(rectangle.keys))))
        done += count
    rows = np.concatenate([rectangle.rows for rectangle in rectangles])
    return _group(text, rectangles[0], text.rows(rows), blocks, accumulates=False)


def _unmasked(rectangle: Rectangle, rows: slice, keys: slice, *, accumulates: bool = False) -> Block:
    return Block(
        rows=rows,
        keys=keys,
        pairs=(rows.stop - rows.start) * (keys.stop - keys.start),
        bias=None if rectangle.bias is None else rectangle.bias[None, :, :, keys],
        table_row=rectangle.table_row,
        accumulates=accumulates,
    )


@dataclass(frozen=True, eq=False)
class _Chunks:
    """Chunks of a rectangle's queries, from `starts` to before `stops`; for each, indices of the keys.

    Some queries may read the keys [left, open) and [close, right), all may read [open, close).
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    left: NDArray[np.int64]
    open: NDArray[np.int64]
    close: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def of(cls, text: Text, rectangle: Rectangle, starts: NDArray[np.int64]) -> "_Chunks":
        stops = np.append(starts[1:], len(rectangle.rows))
        first, last = rectangle.rows[starts], rectangle.rows[stops - 1]
        left, opens, closes, right = (
            np.searchsorted(rectangle.keys, bound)
            for bound in (text.opens[first], text.opens[last], text.closes[first], text.closes[last])
        )
        # A chunk that spans more than a window: no key is read by all of it.
        none = opens > closes
        opens, closes = np.where(none, right, opens), np.where(none, right, closes)
        rest = np.where(right > closes, (closes - opens) % LANES, 0)
        return cls(starts, stops, left, opens, closes - rest, right)

    def at(self, chosen: slice) -> "_Chunks":
        """Select some chunks."""
        return _Chunks(*(values[chosen] for values in vars(self).values()))

    @property
    def edge(self) -> float:
        """How many keys some queries of a chunk may read and others not, on average."""
        return float((self.open - self.left + self.right - self.close).mean())


def _insides(rectangle: Rectangle, chunks: _Chunks) -> list[Block]:
    """Return the blocks without masks: results are merged with those of the edges."""
    bounds = zip(*(values.tolist() for values in (chunks.open, chunks.close, chunks.starts, chunks.stops)), strict=True)
    return [
        _unmasked(rectangle, slice(some[0][2], some[-1][3]), slice(opens, closes), accumulates=True)
        for (opens, closes), same in groupby(bounds, itemgetter(0, 1))
        if closes > opens and (some := [*same])  # neighbours with the same keys are one block
    ]


def _edges(text: Text, rectangle: Rectangle, chunks: _Chunks) -> Block:
    """Return the masked block of some chunks."""
    stack, first, last = len(chunks.starts), int(chunks.starts[0]), int(chunks.stops[-1])
    size = int(chunks.stops[0]) - first
    before, after = (chunks.open - chunks.left)[:, None], (chunks.right - chunks.close)[:, None]
    column = np.arange(in_lanes(max(int((before + after).max()), 1)))
    from_close = len(rectangle.keys) - int(chunks.close[0])
    if is_view := stack == 1 and from_close > 0 and not before.any():
        index = chunks.close[:, None] + column[:from_close]
        keys = rectangle.keys[index]
    else:
        index = np.where(column < before, chunks.left[:, None] + column, chunks.close[:, None] + column - before)
        index = np.where(column < before + after, index, 0)
        keys = np.where(column < before + after, rectangle.keys[index], -1)  # before every window
    queries = rectangle.rows[np.minimum(first + np.arange(stack * size), last - 1)].reshape(stack, size)
    mask = torch.from_numpy(text.within(queries, keys))[:, None]
    bias = as_bias(mask)
    if rectangle.bias is not None:
        bias = bias + rectangle.bias[:, 0, torch.from_numpy(index)].transpose(0, 1)[:, :, None]
    return Block(
        rows=slice(first, last),
        keys=as_slice(index[0]) if is_view else torch.from_numpy(index.reshape(-1)),
        pairs=size * index.size,
        stack=stack,
        chunk=size,
        bias=bias,
        empty=find_empty(mask),
        table_row=rectangle.table_row,
    )


def _group(
    text: Text, rectangle: Rectangle, rows: TokenIndex, blocks: Sequence[Block], *, accumulates: bool
) -> BlockGroup:
    return BlockGroup(
        text=text.number,
        rows=rows,
        keys=text.keys(rectangle.keys),
        blocks=tuple(blocks),
        heads=rectangle.heads,
        key_tags=None if rectangle.table_row is None else torch.from_numpy(text.tags[rectangle.keys]),
        accumulates=accumulates,
    )
