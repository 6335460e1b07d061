"""What a network is taught: the subwords of texts, with the tag and the beginning of the word that each is part of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
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
    """The columns of all subwords: int64 (4, pieces), ids, cues, tags and beginnings; and where texts begin and end."""

    columns: Integers
    bounds: Integers

    @property
    def size(self) -> int:
        """How many subwords there are."""
        return int(self.columns.shape[1])


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


def draw_rows(lessons: Lessons, rng: np.random.Generator, *, size: int, gap: int) -> Iterator[tuple[Tensor, ...]]:
    """Yield all texts once, in a new order, as rows of about `size` subwords: ids, cues, what is real, tags, begins.

    Between two texts is a `gap`, or they follow each other as if they were one.
    """
    row, length = list[Integers](), 0
    for number in rng.permutation(len(lessons.bounds) - 1):
        text = lessons.columns[:, lessons.bounds[number] : lessons.bounds[number + 1]]
        if rng.random() < _BLIND:
            text = text * np.array([[1], [0], [1], [1]])
        row.append(np.concatenate([np.ones((1, text.shape[1]), dtype=np.int64), text]))
        if rng.random() >= _JOINED:
            row.append(np.repeat([[0], [0], [0], [NO_LESSON], [NO_LESSON]], gap, axis=1))
        length += text.shape[1]
        if length >= size:
            yield _tensors(row)
            row, length = [], 0
    if length:
        yield _tensors(row)


def _tensors(row: Sequence[Integers]) -> tuple[Tensor, ...]:
    real, ids, cues, tags, begins = torch.from_numpy(np.concatenate(row, 1))
    return ids, cues, real > 0, tags, begins
