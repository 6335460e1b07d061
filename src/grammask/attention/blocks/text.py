"""One text of a batch without its padding, as the makers of blocks need it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...grammar.tags import PAD, TAGS
from ..inputs import Annotation
from ..position_mask import PositionMask
from .block import TokenIndex, as_slice
from .tokens import Tokens

# Tokens of a window up to which a band over all of it is cheaper than blocks of the pairs that rules allow: a band of
# this width wastes little at its edges, and starts few blocks.
NARROW: Final[int] = 512


@dataclass(frozen=True, eq=False)
class Text:
    """A text's real tokens: their places in the batch, annotation, and tags and words once more for numpy.

    Queries are the tokens from index `first` on; `shift` is the place of the batch's first query. A query may read the
    tokens from `opens` to before `closes` (tokens,), as far as the model's own mask decides; neither ever decreases.
    """

    number: int
    places: NDArray[np.int64]
    annotated: Tokens
    tags: NDArray[np.int64]
    words: NDArray[np.int64]
    first: int
    shift: int
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def queries(self) -> NDArray[np.int64]:
        """The tokens that are queries."""
        return np.arange(self.first, len(self))

    def queries_of(self, tags: Sequence[int]) -> NDArray[np.int64]:
        """Return the queries that have one of some tags, ascending."""
        return np.flatnonzero(tag_mask(tags)[self.tags[self.first :]]) + self.first

    @property
    def is_free(self) -> bool:
        """Whether the model's own mask lets every query read every token."""
        return int(self.opens[-1]) == 0 and int(self.closes[self.first]) == len(self)

    @property
    def is_narrow(self) -> bool:
        """Whether windows are so narrow that a band which holds all of their pairs is the cheapest way."""
        return float((self.closes - self.opens)[self.first :].mean()) <= NARROW

    def within(self, queries: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pairs of queries (..., queries) and keys (..., keys) the model's own mask allows."""
        query, key = queries[..., None], keys[..., None, :]
        within: NDArray[np.bool_] = (key >= self.opens[query]) & (key < self.closes[query])
        return within

    def rows(self, tokens: NDArray[np.int64] | slice) -> TokenIndex:
        """Index some of the queries in the batch."""
        return TokenIndex.of(self.places[tokens] - self.shift)

    def keys(self, tokens: NDArray[np.int64] | slice) -> TokenIndex:
        """Index some of the keys in the batch."""
        return TokenIndex.of(self.places[tokens])


def texts_of(annotation: Annotation, position: PositionMask, queries: int) -> Iterator[Text]:
    """Yield the texts of a batch that have queries; those are the last `queries` places of each."""
    length = annotation.tag_ids.shape[1]
    real = (annotation.tag_ids != PAD).numpy()
    for number, row in enumerate(real):
        places = np.flatnonzero(row)
        first = int(np.searchsorted(places, length - queries))
        if first == len(places):
            continue
        tokens = as_slice(places)
        tags, words = annotation.tag_ids[number, tokens], annotation.word_ids[number, tokens]
        sentences = None if annotation.sentence_ids is None else annotation.sentence_ids[number, tokens]
        yield Text(
            number, places, Tokens.of(tags, words, sentences), tags.numpy(), words.numpy(), first, length - queries,
            *position.bounds(places),
        )  # fmt: skip


def occurring_tags(tags: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct tags, ascending."""
    return np.flatnonzero(np.bincount(tags))


def tag_mask(tags: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which tags are among `tags` (TAGS,), to look tokens up in."""
    mask: NDArray[np.bool_] = np.isin(np.arange(len(TAGS)), tags)
    return mask
