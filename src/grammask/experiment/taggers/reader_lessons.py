"""Lessons of a treebank and of raw text, with what a transformer that learned the treebank says of both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...tagging.tagger import TaggedText
from .lessons import NO_LESSON, Lessons, make_lessons
from .reader import Reader, read_lessons
from .tagged_texts import TaggedTexts

_COPIES: Final[int] = 3  # of the treebank, beside one of the texts
_SHARE: Final[float] = 0.3  # of the reader's opinion, where the treebank says what is right
_NO_WORDS: Final = TaggedText(*np.zeros((4, 0), dtype=np.int32))


def reader_lessons(reader: Reader, treebank: Lessons, texts: Sequence[str], tokenizer: Tokenizer) -> Lessons:
    """Return the lessons of a treebank, and of texts of which nothing is known but what the reader says."""
    raw = make_lessons(tokenizer, TaggedTexts(texts, [_NO_WORDS] * len(texts)))
    told = replace(treebank, said=_told(treebank, read_lessons(reader, treebank)))
    return _joined([*[told] * _COPIES, replace(raw, said=read_lessons(reader, raw))])


def _told(lessons: Lessons, said: NDArray[np.float16]) -> NDArray[np.float16]:
    """Mix what is right with what a reader said; where nothing is told, it is what the reader said."""
    _, _, tags, begins = lessons.columns
    known = tags != NO_LESSON
    right = np.zeros_like(said)
    right[known, tags[known]] = 1
    right[:, -1] = begins == 1
    return np.where(known[:, None], (1 - _SHARE) * right + _SHARE * said, said).astype(np.float16)


def _joined(lessons: Sequence[Lessons]) -> Lessons:
    sizes = np.concatenate([np.diff(one.bounds) for one in lessons])
    said = np.concatenate([one.said for one in lessons if one.said is not None])
    return Lessons(np.concatenate([one.columns for one in lessons], 1), np.append(0, np.cumsum(sizes)), said)
