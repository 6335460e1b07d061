"""What a network is taught: the subwords of texts, with the tag and the beginning of the word that each is part of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from ...tagging.overlap import NO_WORD, Integers, overlapping_words
from ...tagging.subwords.pieces import Pieces, find_pieces, text_places
from ...tagging.tagger import TaggedText
from .tagged_texts import TaggedTexts

NO_LESSON: Final[int] = -100  # of subwords that no word overlaps
_TEXTS: Final[int] = 1000  # that are split together
_JOINED: Final[float] = 0.5  # how often two texts follow each other as if they were one
_BLIND: Final[float] = 0.1  # how often only the ids of a text are seen, as in a batch


@dataclass(frozen=True, eq=False)
class Lessons:
    """The columns of all subwords: int64 (4, pieces), ids, cues, tags and beginnings; and where texts begin and end.

    `said` (pieces, OUTPUTS) is what a teacher holds likely, if there is one: the tags, and that a word begins.
    """

    columns: Integers
    bounds: Integers
    said: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def size(self) -> int:
        """How many subwords there are."""
        return int(self.columns.shape[1])


class Row(NamedTuple):
    """Subwords of texts one after the other, (length,) each; `said` (length, OUTPUTS) as `Lessons` have it."""

    real: Tensor
    ids: Tensor
    cues: Tensor
    tags: Tensor
    begins: Tensor
    said: Tensor | None


def make_lessons(tokenizer: Tokenizer, tagged: TaggedTexts) -> Lessons:
    """Lay the words of texts over their subwords."""
    columns, sizes = [np.zeros((4, 0), dtype=np.int64)], [0]
    for start in range(0, len(tagged), _TEXTS):
        some = slice(start, start + _TEXTS)
        pieces = find_pieces(tokenizer, tagged.texts[some])
        owners = find_owners(pieces, tagged.texts[some], tagged.words[some])
        columns.append(_targets(pieces, owners, tagged.words[some]))
        sizes.extend(np.bincount(pieces.texts, minlength=len(tagged.texts[some])))
    return Lessons(np.concatenate(columns, 1), np.cumsum(sizes))


def find_owners(pieces: Pieces, texts: Sequence[str], words: Sequence[TaggedText]) -> Integers:
    """Return the word of each subword, counted through all texts, -1 for none."""
    places = text_places(texts)[:-1]
    joined = TaggedText(*(
        np.concatenate([getattr(of, name) + place for of, place in zip(words, places * shifted, strict=True)])
        for name, shifted in (("starts", 1), ("ends", 1), ("tag_ids", 0), ("sentence_ids", 0))
    ))  # fmt: skip
    return overlapping_words(np.stack([pieces.starts, pieces.ends], 1), joined)


def word_starts(owners: Integers) -> Integers:
    """Return 1 where a word begins, 0 where it goes on, `NO_LESSON` where there is none."""
    return np.where(owners == NO_WORD, NO_LESSON, np.diff(owners, prepend=NO_WORD) != 0)


def _targets(pieces: Pieces, owners: Integers, words: Sequence[TaggedText]) -> Integers:
    tags = np.append(np.concatenate([of.tag_ids for of in words]), NO_LESSON)[owners]  # -1 takes the last
    return np.stack([pieces.ids, pieces.cues, tags, word_starts(owners)])


def draw_rows(lessons: Lessons, rng: np.random.Generator, *, size: int, gap: int) -> Iterator[Row]:
    """Yield all texts once, in a new order, as rows of about `size` subwords.

    Between two texts is a `gap`, or they follow each other as if they were one.
    """
    row, length = list[Integers](), 0
    for number in rng.permutation(len(lessons)):
        places = np.arange(lessons.bounds[number], lessons.bounds[number + 1])
        text = lessons.columns[:, places]
        if rng.random() < _BLIND:
            text = text * np.array([[1], [0], [1], [1]])
        row.append(np.concatenate([np.ones_like(places)[None], text, places[None]]))
        if rng.random() >= _JOINED:
            row.append(np.repeat([[0], [0], [0], [NO_LESSON], [NO_LESSON], [0]], gap, axis=1))
        length += len(places)
        if length >= size:
            yield _row(row, lessons)
            row, length = [], 0
    if length:
        yield _row(row, lessons)


def _row(parts: Sequence[Integers], lessons: Lessons) -> Row:
    *columns, places = np.concatenate(parts, 1)
    real, ids, cues, tags, begins = map(torch.from_numpy, columns)
    said = None if lessons.said is None else torch.from_numpy(lessons.said[places]).float()
    return Row(real > 0, ids, cues, tags, begins, said)
