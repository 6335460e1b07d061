"""The pairs that a grammar allows a causal model, counted in each head without looking at each pair.

Words stand in order, so the keys of a query that are in one stretch of word offsets are a run of tokens. How many of a
run have a tag is the difference of two running counts: time grows with the length, not with its square.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..grammar.rules import Reach
from ..grammar.tables import ReachTables
from ..grammar.tags import TAGS
from .position_mask import PositionMask

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CausalText:
    """One text without padding: the tag, word and sentence of each token (length,), -1 for none.

    Raises `ValueError` for words that don't stand in order, or that other tokens part.
    """

    tags: Counts
    words: Counts
    sentences: Counts

    def __post_init__(self) -> None:
        begins = np.diff(self.words, prepend=-1) != 0
        if (np.diff(self.words[begins & (self.words >= 0)]) <= 0).any():
            raise ValueError("the words of a causal text stand in order, each in one piece")

    def __len__(self) -> int:
        return len(self.tags)


def count_causal_pairs(
    layer_tables: Sequence[tuple[ReachTables, ...]], text: CausalText, positions: Sequence[PositionMask]
) -> Counts:
    """Return how many pairs each head of each layer reads: integers (layers, heads), or (layers, 1) where all agree.

    `positions` are the masks of the model's own, one for each layer, all of them causal. Full attention has
    `length * (length + 1) / 2` pairs.
    """
    edges = _edges(layer_tables)
    counted: dict[PositionMask, tuple[int, Counts]] = {}
    allowed: dict[int, NDArray[np.bool_]] = {}
    rows = []
    for tables, position in zip(layer_tables, positions, strict=True):
        if position not in counted:
            counted[position] = _histogram(text, edges, tables[0].sink_tokens, position.left)
        if id(tables) not in allowed:
            allowed[id(tables)] = _allowed(tables, edges)
        always, cells = counted[position]
        rows.append(always + (allowed[id(tables)] * cells).sum((1, 2, 3, 4)))
    return np.stack(rows)


def _edges(layer_tables: Sequence[tuple[ReachTables, ...]]) -> tuple[int, ...]:
    """Return the word offsets at which a stretch begins that rules tell from what is before it, up to 0."""
    reaches = {table.reach for tables in layer_tables for table in tables if table.reach.kind == "words"}
    sides = {side for reach in reaches for side in (reach.lo, reach.hi + 1)}
    return tuple(sorted(side for side in sides if side < 0))


def _allowed(tables: Sequence[ReachTables], edges: Sequence[int]) -> NDArray[np.bool_]:
    """Return what a layer allows: (heads, query tags, key tags, stretches, out of the sentence or in it)."""
    allowed = np.stack([tables[0].allowed.numpy()] * (len(edges) + 1), -1)
    allowed = np.stack([allowed, allowed], -1)
    for table in tables[1:]:
        by_tag = table.allowed.numpy()[..., None]
        if table.reach.kind == "sentence":
            allowed[..., 1] |= by_tag
        else:
            allowed[..., _stretches(table.reach, edges), :] |= by_tag[..., None]
    return allowed


def _stretches(reach: Reach, edges: Sequence[int]) -> slice:
    """Return the stretches within a reach: the first is beyond all, each other begins at one of the edges."""
    first, beyond = np.searchsorted(edges, [reach.lo, reach.hi + 1])
    return slice(int(first) + 1, int(beyond) + 1)


@lru_cache(maxsize=128)  # rules change more often than texts and reaches
def _histogram(text: CausalText, edges: tuple[int, ...], sinks: int, left: int | None) -> tuple[int, Counts]:
    """Return how many pairs are always allowed, and all others by query tag, key tag, stretch and sentence."""
    places = np.arange(len(text))
    own = _first_of_word(text)
    lowest = np.zeros_like(places) if left is None else (places - left).clip(0)
    always = (places + 1 - np.maximum(own, lowest)).sum() + (np.minimum(own, sinks) - lowest).clip(0).sum()
    since = np.minimum(np.maximum(lowest, sinks), own)
    cells = np.zeros((len(TAGS), len(TAGS), len(edges) + 1, 2), dtype=np.int64)
    words, others = _RunningCounts(text, text.words >= 0), _RunningCounts(text, text.words < 0)
    border = _first_of_sentence(text)
    for stretch, (lower, upper) in enumerate(_runs(text, edges, since, own)):
        middle = border.clip(lower, upper)
        cells[:, :, stretch, 0] = words.between(lower, middle)
        cells[:, :, stretch, 1] = words.between(middle, upper)
    cells[:, :, 0, 0] += others.between(since, own)  # what has no word is beyond every bounded reach
    return int(always), cells


class _RunningCounts:
    """How many marked tokens of each tag stand before each place of a text: as floats, which multiply fast."""

    def __init__(self, text: CausalText, marked: NDArray[np.bool_]) -> None:
        self._queries = np.eye(len(TAGS))[text.tags]
        self._before = np.zeros((len(text) + 1, len(TAGS)))
        np.cumsum(self._queries * marked[:, None], axis=0, out=self._before[1:])

    def between(self, since: Counts, until: Counts) -> Counts:
        """Return the pairs of each token and the keys of its run: (query tags, key tags)."""
        pairs = self._queries.T @ (self._before[until] - self._before[since])
        return pairs.astype(np.int64)


def _runs(text: CausalText, edges: Sequence[int], since: Counts, until: Counts) -> Iterator[tuple[Counts, Counts]]:
    """Yield for each stretch the run of keys of each query; one without a word has all of them in the first."""
    latest, word = np.maximum.accumulate(text.words), text.words >= 0
    begins = [since]
    for edge in edges:
        begin = np.searchsorted(latest, text.words + edge)
        begins.append(np.where(word, begin, len(text)).clip(since, until))
    yield from zip(begins, [*begins[1:], until], strict=True)


def _first_of_word(text: CausalText) -> Counts:
    """Return the first token of each token's word, itself where it has none."""
    places = np.arange(len(text))
    first = np.searchsorted(np.maximum.accumulate(text.words), text.words)
    return np.where(text.words >= 0, first, places)


def _first_of_sentence(text: CausalText) -> Counts:
    """Return the first token of each token's sentence, beyond the text where it has none."""
    first = np.searchsorted(np.maximum.accumulate(text.sentences), text.sentences)
    return np.where(text.sentences >= 0, first, len(text))
