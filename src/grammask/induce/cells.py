"""Cells: gain and cost of each query tag, key tag and signed word offset.

Whatever a grammar is induced from becomes two tables over the same cells: how many word pairs a cell has in a text (its
cost), and how much dependency arcs or attention of a model it has (its gain).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..grammar.tags import UPOS

FARTHEST: Final[int] = 32  # word offsets up to here have a cell each; all beyond share one
_TAGS: Final[int] = len(UPOS)
OFFSETS: Final[int] = 2 * FARTHEST + 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Word pairs and their gain, by cell.

    `pairs` (tags, tags, offsets) counts word pairs by query tag, key tag and key minus query word + FARTHEST; `gain`
    (groups, tags, tags, offsets) is their gain in each group: one group, or one for every layer and head. Pairs
    farther than FARTHEST words count in `far_pairs` (tags, tags) and `far_gain` (groups, tags, tags).
    """

    pairs: Floats
    far_pairs: Floats
    gain: Floats
    far_gain: Floats

    @property
    def groups(self) -> int:
        """How many groups have gains of their own."""
        return len(self.gain)

    @property
    def all_pairs(self) -> float:
        """All word pairs of the text, a word with itself included."""
        return float(self.pairs.sum() + self.far_pairs.sum())

    def select(self, groups: Sequence[int]) -> "Cells":
        """Return the cells of some groups."""
        return Cells(self.pairs, self.far_pairs, self.gain[list(groups)], self.far_gain[list(groups)])

    def summed(self, size: int) -> "Cells":
        """Return the cells where every `size` groups, such as a layer's heads, each have the sum of their gains."""
        near, far = (
            gain.reshape(-1, size, *gain.shape[1:]).sum(1).repeat(size, 0) for gain in (self.gain, self.far_gain)
        )
        return Cells(self.pairs, self.far_pairs, near, far)

    def pooled(self) -> "Cells":
        """Return the cells of all groups together, as one group."""
        return Cells(self.pairs, self.far_pairs, self.gain.sum(0, keepdims=True), self.far_gain.sum(0, keepdims=True))

    def density(self, allowed: NDArray[np.bool_], far: NDArray[np.bool_] | None = None) -> float:
        """Return the share of word pairs in allowed cells (tags, tags, offsets), and in far ones (tags, tags)."""
        kept = float(self.pairs[allowed].sum())
        return (kept + (0.0 if far is None else float(self.far_pairs[far].sum()))) / self.all_pairs

    def coverage(self, allowed: NDArray[np.bool_], far: NDArray[np.bool_] | None = None) -> float:
        """Return the share of the gain, over all groups, that lies in allowed cells."""
        kept = float(self.gain[:, allowed].sum())
        return (kept + (0.0 if far is None else float(self.far_gain[:, far].sum()))) / self.all_gain

    @property
    def all_gain(self) -> float:
        """The whole gain of all groups."""
        return float(self.gain.sum() + self.far_gain.sum())


def count_cells(texts: Sequence[NDArray[np.int32]]) -> tuple[Floats, Floats]:
    """Count the word pairs of texts, each the tag ids of its words: `Cells.pairs` and `Cells.far_pairs`."""
    tags = np.concatenate(texts).astype(np.int64)
    text_of = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    pairs = np.zeros((_TAGS, _TAGS, OFFSETS))
    for offset in range(min(FARTHEST + 1, len(tags))):
        end = len(tags) - offset
        inside = text_of[:end] == text_of[offset:]
        cells = tags[:end][inside] * _TAGS + tags[offset:][inside]
        found = np.bincount(cells, minlength=_TAGS**2).reshape(_TAGS, _TAGS)
        pairs[..., FARTHEST + offset] = found
        pairs[..., FARTHEST - offset] = found.T
    by_text = np.zeros((len(texts), _TAGS))
    np.add.at(by_text, (text_of, tags), 1)
    return pairs, by_text.T @ by_text - pairs.sum(-1)


def mixed(one: Cells, other: Cells, share: float) -> Cells:
    """Return the cells of one text with `share` of the gain from other cells; each gain is scaled to a sum of 1.

    The other gain is first scaled to the pairs that the one text has in the same cell.
    """
    groups = max(one.groups, other.groups)
    first, second = (cells if cells.groups == groups else cells.select([0] * groups) for cells in (one, other))
    near = second.gain * _ratio(one.pairs, second.pairs)
    far = second.far_gain * _ratio(one.far_pairs, second.far_pairs)
    return Cells(
        one.pairs,
        one.far_pairs,
        (1 - share) * first.gain / first.all_gain + share * near / (near.sum() + far.sum()),
        (1 - share) * first.far_gain / first.all_gain + share * far / (near.sum() + far.sum()),
    )


def _ratio(one: Floats, other: Floats) -> Floats:
    ratio: Floats = np.divide(one, other, out=np.zeros_like(one), where=other > 0)
    return ratio
