"""Which of a text's words each of its tokens belongs to, by character offsets."""

import unicodedata

import numpy as np
from numpy.typing import NDArray

from .tagger import TaggedText

NO_WORD = -1

Integers = NDArray[np.int64]


def overlapping_words(spans: Integers, text: TaggedText) -> Integers:
    """Return for each character span (start, end) the word that overlaps it most, the first of equals, or -1.

    An empty span belongs to the word that it lies in.
    """
    first, last = touched_words(spans, text)
    words = np.where(first <= last, first, NO_WORD)
    starts, ends = spans[:, 0], spans[:, 1]
    for position in (first < last).nonzero()[0]:
        candidates = slice(first[position], last[position] + 1)
        overlap = np.minimum(text.ends[candidates], ends[position]) - np.maximum(
            text.starts[candidates], starts[position]
        )
        words[position] += overlap.argmax()
    return words


def touched_words(spans: Integers, text: TaggedText) -> tuple[Integers, Integers]:
    """Return the first and the last word that each span overlaps; the first is beyond the last where there is none.

    The first is then the next word of the text.
    """
    starts, ends = spans[:, 0], np.maximum(spans[:, 1], spans[:, 0] + 1)
    return np.searchsorted(text.ends, starts, side="right"), np.searchsorted(text.starts, ends, side="left") - 1


def shows_nothing(text: str) -> bool:
    """Whether a text is empty, or only space, line breaks, and control and format characters (zero width)."""
    return all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in text)


def join_neighbours(owners: Integers, joining: NDArray[np.bool_]) -> Integers:
    """Return the owners of tokens where those of `joining` have that of the next token with one, else of the last.

    Where no token has an owner nothing changes.
    """
    owned = (owners != NO_WORD).nonzero()[0]
    if not len(owned):
        return owners
    following = np.searchsorted(owned, np.arange(len(owners))).clip(max=len(owned) - 1)
    return np.where(joining, owners[owned[following]], owners)
