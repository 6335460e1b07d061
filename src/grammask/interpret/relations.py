"""Which heads follow which grammatical relation, by spaCy's parse, compared with the best fixed offset.

As in Clark et al. (2019), What Does BERT Look At?: a head follows a relation where the word that it attends to most is
the other end of the relation. The best head and the best offset are chosen on one half of the texts and counted on the
other, since the best of 72 heads always looks good on the texts that chose it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..grammar.tags import UPOS
from ..tagging.spacy_tagger import load_pipeline

LEAST: Final[int] = 20  # words of a relation in each half; a share of fewer means little
Direction = str  # "reads its head" or "is read by it"
DIRECTIONS: Final[tuple[Direction, ...]] = ("word reads head", "head reads word")


@dataclass(frozen=True)
class Relation:
    """A relation, the head that follows it best, and the best fixed offset: shares of `words` of the second half."""

    name: str
    words: int
    direction: Direction
    layer: int
    head: int
    accuracy: float
    offset: int
    offset_accuracy: float


def parse_relations(texts: Sequence[str], pipeline: str) -> list[list[tuple[int, int, str]]]:
    """Return for each text (word, head, relation) by the words' numbers; white space is no word, roots have no arc.

    Raises `TaggingError`.
    """
    found = []
    for doc in load_pipeline(pipeline, "parser").pipe(texts, batch_size=256):
        place = {token.i: number for number, token in enumerate(token for token in doc if token.pos_ in UPOS)}
        found.append([
            (place[token.i], place[token.head.i], token.dep_)
            for token in doc
            if token.i in place and token.head.i in place and token.head.i != token.i
        ])  # fmt: skip
    return found


@dataclass
class Followed:
    """Counts of one half of the texts: for each relation its words, hits by direction and head, and offsets."""

    words: Counter[str] = field(default_factory=Counter)
    hits: dict[tuple[str, Direction], NDArray[np.int64]] = field(default_factory=dict)
    offsets: dict[tuple[str, Direction], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, arcs: Sequence[tuple[int, int, str]], words: Tensor) -> None:
        """Add a text: `words` (layers, heads, words, words) is the attention between the words that are read."""
        size = words.shape[-1]
        itself = torch.eye(size, dtype=torch.bool)
        most = words.masked_fill(itself, -1.0).argmax(-1).numpy()
        for word, head, name in arcs:
            if word >= size or head >= size:
                continue
            self.words[name] += 1
            for direction, reader, read in ((DIRECTIONS[0], word, head), (DIRECTIONS[1], head, word)):
                hit = most[..., reader] == read
                key = (name, direction)
                self.hits[key] = self.hits.get(key, np.zeros(hit.shape, dtype=np.int64)) + hit
                self.offsets[key][read - reader] += 1


def best_heads(chosen_on: Followed, counted_on: Followed) -> list[Relation]:
    """Return the relations that are frequent enough in both halves, the most frequent first."""
    found = []
    for name, words in counted_on.words.most_common():
        if min(words, chosen_on.words[name]) < LEAST:
            continue
        direction = max(DIRECTIONS, key=lambda one: int(chosen_on.hits[name, one].max()))
        key = (name, direction)
        layer, head = np.unravel_index(int(chosen_on.hits[key].argmax()), chosen_on.hits[key].shape)
        offset = chosen_on.offsets[key].most_common(1)[0][0]
        found.append(
            Relation(
                name, words, direction, int(layer), int(head),
                float(counted_on.hits[key][layer, head] / words), offset,
                counted_on.offsets[key][offset] / words,
            )
        )  # fmt: skip
    return found
