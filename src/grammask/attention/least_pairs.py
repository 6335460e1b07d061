"""How many pairs the blocks of a batch hold at least, counted from tags and word numbers without making them."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..grammar.rules import Strategy
from ..grammar.tags import TAGS, UPOS
from .blocks.lookup import PairLookup
from .inputs import Annotation

_CHUNK: Final[int] = 32  # queries of a band that share a window, at least


class LeastPairs(NamedTuple):
    """Pairs in `rectangles` of document reach, and those in a band of windows, under masks."""

    rectangles: float = 0.0
    banded: float = 0.0


def least_pairs(lookup: PairLookup, annotation: Annotation, strategy: Strategy) -> LeastPairs:
    """Count the pairs of a head, a mean over heads, where the model's own mask lets every token be read.

    The soft strategy reads all pairs. The hard one reads what document reach allows, and every word of a band.
    """
    real = annotation.readable[:, 0, 0].numpy()
    if strategy == "soft":
        return LeastPairs(float((real.sum(1) ** 2).sum()))
    banded = _banded(lookup, annotation) if lookup.has_bounded else 0
    return LeastPairs(_of_document(lookup, annotation, real), float(banded))


def _of_document(lookup: PairLookup, annotation: Annotation, real: NDArray[np.bool_]) -> float:
    texts, tags = len(real), len(TAGS)
    cells = annotation.tag_ids.numpy() + np.arange(texts)[:, None] * tags
    counts = np.bincount(cells[real], minlength=texts * tags).reshape(texts, tags)
    # Structural keys may be columns of the band.
    return float(((counts @ lookup.mean_document[:, : len(UPOS)]) * counts[:, : len(UPOS)]).sum())


def _banded(lookup: PairLookup, annotation: Annotation) -> int:
    """Count the pairs of words within the widest reach, and those of a window beyond it for the rest of a chunk."""
    words = annotation.word_ids.numpy()
    pairs = _neighbours(words, lookup.lo, lookup.hi)
    if lookup.by_sentence and annotation.sentence_ids is not None:
        return max(pairs, _neighbours(annotation.sentence_ids.numpy(), 0, 0))
    numbered = (words >= 0).sum(1)
    # The first and the last chunk of a text have no window beyond it.
    beyond = (_CHUNK - 1) * (numbered - _CHUNK).clip(0)
    return int(min(pairs + beyond.sum(), (numbered**2).sum()))


def _neighbours(ids: NDArray[np.int64], lo: int, hi: int) -> int:
    """Count the pairs of one text whose numbers, where they have any, differ by `lo` to `hi`."""
    texts = np.arange(len(ids))[:, None] << 32  # further apart than any two numbers of a text
    inside = np.sort((ids + texts)[ids >= 0])
    first, beyond = np.searchsorted(inside, inside + lo, "left"), np.searchsorted(inside, inside + hi, "right")
    return int((beyond - first).sum())
