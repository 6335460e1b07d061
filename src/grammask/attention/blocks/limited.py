"""Rectangles of queries and keys under causality or a wide window: exact, and almost all without masks.

Queries of one kind, in reading order, are cut into chunks. All queries of a chunk may read the keys between the
last window's opening and the first one's closing: a rectangle without a mask, which under causality is a prefix of the
keys. What only some of them may read, the chunk's own diagonal and the other edge of a window, is a small masked
rectangle. Those are stacked, so that there are few calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .block import Block, BlockGroup, as_bias, find_empty
from .text import Text

_CHUNK: Final[int] = 128  # queries; more make the masked edges wider, fewer start more blocks
_SLAB: Final[int] = 8  # chunks whose edges are stacked


@dataclass(frozen=True, eq=False)
class Rectangle:
    """Queries `rows` of a text that all read the same `keys`, both ascending, as far as its windows let them.

    `bias` (heads or 1, keys) is added to the scores, `table_row` names a row of a learned strength table.
    """

    rows: NDArray[np.int64]
    keys: NDArray[np.int64]
    heads: Tensor | None = None
    bias: Tensor | None = None
    table_row: int | None = None


def limited_blocks(text: Text, rectangle: Rectangle, *, accumulates: bool) -> list[BlockGroup]:
    """Return the blocks of a rectangle: first the masked edges of its chunks, then what needs no mask.

    Unless `accumulates`, the edges must let every query read something, as they do where it reads itself.
    """
    chunks = _Chunks.of(text, rectangle)
    edges = _edges(text, rectangle, chunks, skips=accumulates)
    groups = [] if edges is None else [replace(edges, accumulates=accumulates)]
    inside = _inside(text, rectangle, chunks)
    return groups if inside is None else [*groups, inside]


def whole_blocks(text: Text, rectangles: Sequence[Rectangle]) -> BlockGroup:
    """Return the blocks of rectangles with the same keys where the model's own mask lets all of them be read."""
    blocks = []
    done = 0
    for rectangle in rectangles:
        count = len(rectangle.rows)
        blocks.append(_unmasked(rectangle, slice(done, done + count), slice(0, len(rectangle.keys))))
        done += count
    rows = np.concatenate([rectangle.rows for rectangle in rectangles])
    return _group(text, rectangles[0], rows, blocks, accumulates=False)


def _unmasked(rectangle: Rectangle, rows: slice, keys: slice) -> Block:
    return Block(
        rows=rows,
        keys=keys,
        pairs=(rows.stop - rows.start) * (keys.stop - keys.start),
        bias=None if rectangle.bias is None else rectangle.bias[None, :, None, keys],
        table_row=rectangle.table_row,
    )


@dataclass(frozen=True, eq=False)
class _Chunks:
    """Chunks of a rectangle's queries; for each, indices of the keys.

    Some queries may read the keys [left, open) and [close, right), all may read [open, close).
    """

    starts: NDArray[np.int64]
    left: NDArray[np.int64]
    open: NDArray[np.int64]
    close: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def of(cls, text: Text, rectangle: Rectangle) -> "_Chunks":
        starts = np.arange(0, len(rectangle.rows), _CHUNK)
        first = rectangle.rows[starts]
        last = rectangle.rows[np.minimum(starts + _CHUNK, len(rectangle.rows)) - 1]
        left, opens, closes, right = (
            np.searchsorted(rectangle.keys, bound)
            for bound in (text.opens[first], text.opens[last], text.closes[first], text.closes[last])
        )
        # A chunk that spans more than a window: no key is read by all of it.
        none = opens > closes
        return cls(starts, left, np.where(none, right, opens), np.where(none, right, closes), right)

    def at(self, chosen: NDArray[np.int64]) -> "_Chunks":
        """Select some chunks."""
        return _Chunks(*(values[chosen] for values in vars(self).values()))


def _inside(text: Text, rectangle: Rectangle, chunks: _Chunks) -> BlockGroup | None:
    """Return the blocks without masks: results are merged with those of the edges."""
    chosen = np.flatnonzero(chunks.close > chunks.open)
    if len(chosen) == 0:
        return None
    blocks = []
    rows = []
    done = 0
    for start, opens, closes in zip(
        *(v[chosen].tolist() for v in (chunks.starts, chunks.open, chunks.close)), strict=True
    ):
        here = rectangle.rows[start : start + _CHUNK]
        rows.append(here)
        blocks.append(_unmasked(rectangle, slice(done, done + len(here)), slice(opens, closes)))
        done += len(here)
    return _group(text, rectangle, np.concatenate(rows), blocks, accumulates=True)


def _edges(text: Text, rectangle: Rectangle, chunks: _Chunks, *, skips: bool) -> BlockGroup | None:
    """Return the masked blocks; chunks without any key there are left out if `skips`."""
    widths = (chunks.open - chunks.left) + (chunks.right - chunks.close)
    chosen = np.flatnonzero(widths > 0) if skips else np.arange(len(widths))
    blocks = []
    rows = []
    done = 0
    for start in range(0, len(chosen), _SLAB):
        some = chunks.at(chosen[start : start + _SLAB])
        here = np.concatenate([rectangle.rows[row : row + _CHUNK] for row in some.starts.tolist()])
        rows.append(here)
        blocks.append(_edge_block(text, rectangle, some, here, done))
        done += len(here)
    return _group(text, rectangle, np.concatenate(rows), blocks, accumulates=False) if blocks else None


def _edge_block(text: Text, rectangle: Rectangle, chunks: _Chunks, rows: NDArray[np.int64], done: int) -> Block:
    stack, size = len(chunks.starts), min(_CHUNK, len(rows))
    before = (chunks.open - chunks.left)[:, None]
    after = (chunks.right - chunks.close)[:, None]
    column = np.arange(max(int((before + after).max()), 1))
    index = np.where(column < before, chunks.left[:, None] + column, chunks.close[:, None] + column - before)
    index = np.where(column < before + after, index, 0)
    keys = np.where(column < before + after, rectangle.keys[index], -1)  # before every window
    queries = rows[np.minimum(np.arange(stack * size), len(rows) - 1)].reshape(stack, size)
    mask = torch.from_numpy(text.within(queries, keys))[:, None]
    bias = mask
    if rectangle.bias is not None:
        along = rectangle.bias[:, torch.from_numpy(index)].transpose(0, 1)[:, :, None]
        bias = along + as_bias(mask)
    return Block(
        rows=slice(done, done + len(rows)),
        keys=torch.from_numpy(index.reshape(-1)),
        pairs=stack * size * len(column),
        stack=stack,
        chunk=size,
        bias=bias,
        empty=find_empty(mask),
        table_row=rectangle.table_row,
    )


def _group(
    text: Text, rectangle: Rectangle, rows: NDArray[np.int64], blocks: Sequence[Block], *, accumulates: bool
) -> BlockGroup:
    return BlockGroup(
        text=text.number,
        rows=text.rows(rows),
        keys=text.keys(rectangle.keys),
        blocks=tuple(blocks),
        heads=rectangle.heads,
        key_tags=None if rectangle.table_row is None else torch.from_numpy(text.tags[rectangle.keys]),
        accumulates=accumulates,
    )
