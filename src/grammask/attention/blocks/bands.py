"""What a band looks its pairs up in: the windows of each token, and which of their pairs are read at which strength.

A narrow window of the model's own bounds every reach: a band over it holds all pairs, whatever the grammar.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...grammar.tags import TAGS
from .head_bits import NONE
from .lookup import PairLookup
from .text import Text, occurring_tags

NO_TAGS: Final = np.zeros(len(TAGS), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Band:
    """What a band looks its pairs up in: `cells` of the windows, in bits (words, cells) (hard) or bias (heads, cells).

    None lets every pair be read that the model's own mask lets. Token i sees the keys from `opens` to before `closes`
    (tokens,). `columns` are further keys: there, pairs are those of document reach, and `sinks` (tokens,) are read by
    all. `inside` (tags,) marks tags whose queries read here, in the windows, all that they may, sinks too.
    `may_be_empty` tells that a query may read nothing here.
    """

    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    cells: Tensor | None
    columns: NDArray[np.int64]
    sinks: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    may_be_empty: bool = False

    def width(self, queries: NDArray[np.int64]) -> float:
        """Return how many keys these queries see on average, columns aside."""
        return float((self.closes - self.opens)[queries].mean())

    @property
    def hard(self) -> bool:
        """Whether cells say what may be read, not what is added to the scores."""
        return self.cells is None or not self.cells.is_floating_point()


def beside_document(lookup: PairLookup, text: Text, sinks: NDArray[np.bool_], inside: NDArray[np.bool_]) -> Band:
    """Return, hard, the band of bounded reach without columns; queries of the tags `inside` read all there."""
    bounded, allowed = (bits.view(*lookup.document_bits.shape[:2], -1) for bits in (lookup.bounded, lookup.allowed))
    cells = torch.where(torch.from_numpy(inside)[:, None], allowed, bounded).flatten(1)
    return Band(*_windows(lookup, text), cells, _no_columns(text)[0], sinks, inside, may_be_empty=True)


def reaching_band(lookup: PairLookup, text: Text, columns: NDArray[np.int64], sinks: NDArray[np.bool_]) -> Band:
    """Return, hard, the band of what bounded reach and shared words allow beyond document reach, and each token itself.

    The pairs of document reach whose keys are in `columns` (structural tokens and sinks) are in it too.
    """
    tags = occurring_tags(text.tags[text.words >= 0])
    reads_itself = bool(lookup.document[:, tags, tags].any())
    return Band(*_windows(lookup, text), lookup.bounded, columns, sinks, NO_TAGS, may_be_empty=reads_itself)


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
    return Band(opens, closes, cells.flatten(1), columns, sinks, NO_TAGS)


def free_band(lookup: PairLookup, text: Text) -> Band:
    """Return the band of all pairs that the model's own mask allows."""
    return Band(text.opens, text.closes, None, *_no_columns(text))


def strength_band(lookup: PairLookup, text: Text) -> Band:
    """Return, soft, the band of each pair's strength, where the model's own window is narrow."""
    return Band(text.opens, text.closes, lookup.strength, *_no_columns(text))


def lifting_band(lookup: PairLookup, text: Text) -> Band:
    """Return, soft, the band of the bias that lifts each pair from its strength at any distance to its full one."""
    opens, closes = _windows(lookup, text)
    return Band(opens, closes, lookup.extra_bias, *_no_columns(text))


def _no_columns(text: Text) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    return np.zeros(0, dtype=np.int64), np.zeros(len(text), dtype=np.bool_), NO_TAGS


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
