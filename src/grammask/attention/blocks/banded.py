"""Bounded reach: chunks of queries over windows of keys, linear in length.

A text is cut into chunks of queries; each chunk sees the window of keys that its reaches can touch, under a small
mask, and a few columns beside it: the structural tokens that others may read. Equal rectangles are stacked into
slabs, so that a slab's keys stay in the processor's cache.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .block import Block, BlockGroup, TokenIndex, as_bias, find_empty
from .head_bits import additive_mask, bool_mask
from .lookup import PairLookup, Tokens, take_cells

_SLAB: Final[int] = 512  # queries whose keys are copied at a time


def in_reading_order(words: NDArray[np.int64]) -> bool:
    """Tell whether word or sentence numbers never decrease within a text, as windows need; -1 means none."""
    numbered = words[words >= 0]
    return bool((np.diff(numbered) >= 0).all())


def bounded_blocks(
    lookup: PairLookup,
    annotated: Tokens,
    *,
    text: int,
    positions: NDArray[np.int64],
    structural_keys: Tensor,
    hard: bool,
    accumulates: bool,
) -> BlockGroup:
    """Return the blocks that hold what bounded reach adds to the document's, of one text at `positions` of the batch.

    Hard: the pairs that bounded reaches and shared words allow beyond document reach, each token itself, and the
    pairs with the `structural_keys` (positions of structural tokens in the text) that document reach allows. Soft: the
    bias that lifts each pair from its strength at any distance to its full one; there, `structural_keys` is empty.
    """
    length = len(annotated.tags)
    first, beyond = _windows(lookup, annotated)
    # Short chunks waste less of a narrow window; the fused kernel is at its best from 32 queries on.
    size = 32 if float((beyond - first).mean()) <= 48 else 64
    document = as_bias(lookup.document) if lookup.heads == 1 else lookup.document
    blocks = []
    for start in range(0, length, _SLAB):
        stop = min(start + _SLAB, length)
        chunk = min(size, stop - start)
        stack = -(-(stop - start) // chunk)
        at = np.arange(start, stop, chunk)
        opens, closes = (
            np.minimum.reduceat(first[start:stop], at - start),
            np.maximum.reduceat(beyond[start:stop], at - start),
        )
        width = int((closes - opens).max())
        rows = torch.from_numpy(np.arange(start, start + stack * chunk)).view(stack, chunk)
        window = torch.from_numpy(np.minimum(opens, length - width)[:, None] + np.arange(width))
        keys = torch.cat([window, structural_keys.expand(stack, -1)], 1)
        rows_inside = rows.clamp(max=length - 1)
        queries = annotated.at(rows_inside)
        cells = take_cells(lookup.bounded if hard else lookup.extra_bias, lookup.index(queries, annotated.at(window)))
        bias = _as_mask(cells, lookup.heads) if hard else cells
        if hard:
            _allow_self(bias, document, queries, rows_inside - window[:, :1])
            readable = document[:, queries.tags][..., annotated.tags[structural_keys]].transpose(0, 1)
            bias = torch.cat([bias, readable], -1)
        blocks.append(
            Block(
                rows=slice(start, stop),
                keys=keys.reshape(-1),
                pairs=stack * chunk * keys.shape[1],
                stack=stack,
                chunk=chunk,
                bias=bias,
                empty=find_empty(bias),
            )
        )
    here = TokenIndex.of(positions)
    return BlockGroup(text=text, rows=here, keys=here, blocks=tuple(blocks), accumulates=accumulates)


def _as_mask(cells: Tensor, heads: int) -> Tensor:
    # Masks of many heads stay bool, a quarter of the memory.
    return additive_mask(cells, heads, torch.float32) if heads == 1 else bool_mask(cells, heads)


def _allow_self(bias: Tensor, document: Tensor, queries: Tokens, place: Tensor) -> None:
    """Let structural tokens read themselves, in place, unless document reach does; words are in the cells already.

    `place` (stack, queries) is where each query stands in its window. `bias` and `document` are masks or biases alike.
    """
    stack, row = (queries.query_words < 0).nonzero(as_tuple=True)
    tags = queries.tags[stack, row]
    by_document = document[:, tags, tags].T
    missing = ~by_document if bias.dtype == torch.bool else as_bias(by_document.isneginf())
    bias[stack, :, row, place[stack, row]] = missing


def _windows(lookup: PairLookup, annotated: Tokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each token the first key that bounded reaches can touch, and the one beyond the last."""
    here = np.arange(len(annotated.tags))
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
    return first, beyond
