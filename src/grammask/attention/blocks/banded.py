"""Bounded reach: chunks of queries over windows of keys, linear in length.

A text is cut into chunks of queries; each chunk sees the window of keys that its reaches can touch, under a small
mask, and a few columns beside it: the structural tokens that others may read, and sink tokens. Equal rectangles are
stacked into slabs, so that a slab's keys stay in the processor's cache.

A narrow window of the model's own bounds every reach: a band over it holds all pairs, whatever the grammar.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .block import Block, BlockGroup, as_bias, find_empty
from .head_bits import EVERY, NONE, additive_mask, bool_mask
from .lookup import PairLookup, take_cells
from .text import Text, occurring_tags
from .tokens import Tokens

_SLAB: Final[int] = 512  # queries whose keys are copied at a time


def in_reading_order(words: NDArray[np.int64]) -> bool:
    """Tell whether word or sentence numbers never decrease within a text, as windows need; -1 means none."""
    numbered = words[words >= 0]
    return bool((np.diff(numbered) >= 0).all())


@dataclass(frozen=True, eq=False)
class Band:
    """What a band looks its pairs up in: `cells` of the windows, in bits (words, cells) (hard) or bias (heads, cells).

    None lets every pair be read that the model's own mask lets. Token i sees the keys from `opens` to before `closes`
    (tokens,). `columns` are further keys: there, pairs are those of document reach, and `sinks` (tokens,) are read by
    all. `may_be_empty` tells that a query may read nothing here.
    """

    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    cells: Tensor | None
    columns: NDArray[np.int64]
    sinks: NDArray[np.bool_]
    may_be_empty: bool = False

    @property
    def hard(self) -> bool:
        """Whether cells say what may be read, not what is added to the scores."""
        return self.cells is None or not self.cells.is_floating_point()


def banded_blocks(lookup: PairLookup, text: Text, band: Band, *, accumulates: bool) -> BlockGroup:
    """Return the blocks of a band over one text."""
    queries = np.arange(text.first, len(text))
    extent = (band.closes - band.opens)[queries]
    # Short chunks waste less of a narrow window; from 192 queries on, the fused kernel takes 64 at a time, not 32.
    width = float(extent.mean())
    size = 32 if width <= 48 else 64 if width <= 192 else 256
    blocks = tuple(
        _slab(lookup, text, band, queries[start : start + _SLAB], size) for start in range(0, len(queries), _SLAB)
    )
    every = np.arange(len(text))
    return BlockGroup(
        text=text.number, rows=text.rows(queries), keys=text.keys(every), blocks=blocks, accumulates=accumulates
    )


def _slab(lookup: PairLookup, text: Text, band: Band, queries: NDArray[np.int64], size: int) -> Block:
    chunk = min(size, len(queries))
    stack = -(-len(queries) // chunk)
    at = np.arange(0, len(queries), chunk)
    opens, closes = np.minimum.reduceat(band.opens[queries], at), np.maximum.reduceat(band.closes[queries], at)
    width = int((closes - opens).max())
    rows = queries[np.minimum(np.arange(stack * chunk), len(queries) - 1)].reshape(stack, chunk)
    window = np.minimum(opens, len(text) - width)[:, None] + np.arange(width)
    keys = np.concatenate([window, np.broadcast_to(band.columns, (stack, len(band.columns)))], 1)
    bias, empty = _bias(lookup, text, band, rows, window)
    return Block(
        rows=slice(int(queries[0]) - text.first, int(queries[-1]) + 1 - text.first),
        keys=torch.from_numpy(keys.reshape(-1)),
        pairs=stack * chunk * keys.shape[1],
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
        return as_bias(within[:1] if bool((within == within[:1]).all()) else within), None
    queries, keys = text.annotated.at(torch.from_numpy(rows)), text.annotated.at(torch.from_numpy(window))
    cells = take_cells(band.cells, lookup.index(queries, keys))
    if within is not None:
        cells.masked_fill_(~within, NONE if band.hard else -torch.inf)
    if not band.hard:
        return cells, find_empty(cells)
    bits = _with_columns(lookup, text, band, cells, queries, rows, window)
    # Where document reach lets a word read itself, it may have nothing left to read here.
    empty = find_empty(bool_mask(bits, lookup.heads)) if band.may_be_empty else None
    # Masks of many heads stay bits, a twentieth of the memory.
    return bits if lookup.heads > 1 else additive_mask(bits, 1, torch.float32), empty


def _with_columns(
    lookup: PairLookup, text: Text, band: Band, bits: Tensor, queries: Tokens, rows: NDArray[np.int64],
    window: NDArray[np.int64],
) -> Tensor:  # fmt: skip
    """Return the mask of a window's pairs with that of the columns beside it, in bits."""
    # Structural tokens read themselves, unless a column lets them; words are in the cells already.
    stack, row = (queries.query_words < 0).nonzero(as_tuple=True)
    itself = lookup.document_bits.diagonal(dim1=1, dim2=2)[:, queries.tags[stack, row]].bitwise_not()
    bits[stack, :, row, torch.from_numpy(rows - window[:, :1])[stack, row]] = itself.T
    columns, sinks = torch.from_numpy(band.columns), band.sinks
    bits.masked_fill_(torch.from_numpy(sinks[window])[:, None, None], NONE)
    readable = lookup.document_bits[:, queries.tags[..., None], text.annotated.tags[columns]].transpose(0, 1)
    readable.masked_fill_(torch.from_numpy(sinks[band.columns]), EVERY)
    if not text.is_free:
        beside = np.broadcast_to(band.columns, (len(rows), len(band.columns)))
        readable.masked_fill_(~torch.from_numpy(text.within(rows, beside))[:, None], NONE)
    return torch.cat([bits, readable], -1)


def reaching_band(lookup: PairLookup, text: Text, columns: NDArray[np.int64], sinks: NDArray[np.bool_]) -> Band:
    """Return, hard, the band of what bounded reach and shared words allow beyond document reach, and each token itself.

    The pairs of document reach whose keys are in `columns` (structural tokens and sinks) are in it too.
    """
    tags = occurring_tags(text.tags[text.words >= 0])
    reads_itself = bool(lookup.document[:, tags, tags].any())
    return Band(*_windows(lookup, text), lookup.bounded, columns, sinks, may_be_empty=reads_itself)


def whole_band(lookup: PairLookup, text: Text, columns: NDArray[np.int64], sinks: NDArray[np.bool_]) -> Band:
    """Return, hard, the band of all that is allowed, where the model's own window is narrow; `columns` as above."""
    opens, closes = _windows(lookup, text)
    structural = np.unique(text.tags[columns[~sinks[columns]]])
    words = np.setdiff1d(occurring_tags(text.tags), structural)
    far = lookup.document[:, :, words].any(2).any(0).numpy()[text.tags]
    opens, closes = np.where(far, text.opens, opens), np.where(far, text.closes, closes)
    # What columns hold isn't read in the window too.
    table = lookup.document_bits.clone()
    table[:, :, structural] = NONE
    cells = lookup.bounded.view(*table.shape, -1) | table[..., None]
    return Band(opens, closes, cells.flatten(1), columns, sinks)


def free_band(lookup: PairLookup, text: Text) -> Band:
    """Return the band of all pairs that the model's own mask allows."""
    return Band(text.opens, text.closes, None, *_no_columns(text))


def strength_band(lookup: PairLookup, text: Text) -> Band:
    """Return, soft, the band of each pair's strength, where the model's own window is narrow."""
    return Band(text.opens, text.closes, lookup.strength, *_no_columns(text))


def lifting_band(lookup: PairLookup, text: Text) -> Band:
    """Return, soft, the band of the bias that lifts each pair from its strength at any distance to its full one."""
    return Band(*_windows(lookup, text), lookup.extra_bias, *_no_columns(text))


def _no_columns(text: Text) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    return np.zeros(0, dtype=np.int64), np.zeros(len(text), dtype=np.bool_)


def _windows(lookup: PairLookup, text: Text) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each token the first key that bounded reaches can touch, and the one beyond the last."""
    annotated = text.annotated
    here = np.arange(len(text))
    words = annotated.query_words.numpy()
    filled = np.maximum.accumulate(words)
    first = np.minimum(np.searchsorted(filled, words + lookup.lo, side="left"), here)
    beyond = np.maximum(np.searchsorted(filled, words + lookup.hi, side="right"), here + 1)
    structural = words < 0
    first[structural], beyond[structural] = here[structural], here[structural] + 1
    if annotated.query_sentences is not None and lookup.by_sentence:
        sentences = annotated.query_sentences.numpy()
        filled = np.maximum.accumulate(sentences)
        inside = sentences >= 0
        first[inside] = np.minimum(first, np.searchsorted(filled, sentences, side="left"))[inside]
        beyond[inside] = np.maximum(beyond, np.searchsorted(filled, sentences, side="right"))[inside]
    return np.maximum(first, text.opens), np.minimum(beyond, text.closes)
