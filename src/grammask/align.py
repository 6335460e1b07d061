"""Alignment: from the tagged words of a text to the tag, word and sentence of each subword, by character offsets.

Offsets point into the text as it was given, whatever the tokenizer does to it (lower-casing, stripping accents,
splitting into bytes), so one way serves WordPiece, byte-level BPE and SentencePiece.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from .errors import AlignmentError
from .rules import MAX_OFFSET
from .tagging.tagged import TaggedText
from .tags import CLS, PAD, SEP, UNK

NO_WORD: Final[int] = -1


@dataclass(frozen=True)
class Coverage:
    """How well words and subwords met: counts that add up over texts.

    `words` counts the tagger's words (but not those that truncation cut off), `covered_words` those that a subword
    overlaps. `merged_words` are covered, but share their only subword with a word that overlaps it more, whose tag it
    carries ("not" in a tokenizer's "cannot"). `subwords` counts real subwords, `covered_subwords` those that belong to
    a word.
    """

    words: int = 0
    covered_words: int = 0
    merged_words: int = 0
    subwords: int = 0
    covered_subwords: int = 0

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(
            self.words + other.words,
            self.covered_words + other.covered_words,
            self.merged_words + other.merged_words,
            self.subwords + other.subwords,
            self.covered_subwords + other.covered_subwords,
        )

    @property
    def word_share(self) -> float:
        """The share of words that a subword overlaps; 1 where there are no words."""
        return self.covered_words / self.words if self.words else 1.0

    @property
    def subword_share(self) -> float:
        """The share of real subwords that belong to a word; 1 where there are none."""
        return self.covered_subwords / self.subwords if self.subwords else 1.0


@dataclass(frozen=True, eq=False)
class AlignedText:
    """The tag, word and sentence of each token of an encoded text: int64 arrays (length,), and the coverage."""

    tag_ids: NDArray[np.int64]
    word_ids: NDArray[np.int64]
    sentence_ids: NDArray[np.int64]
    coverage: Coverage


class Aligner:
    """Aligns what one fast tokenizer encodes; raises `AlignmentError` for a tokenizer without character offsets."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.is_fast:
            raise AlignmentError(
                f"{type(tokenizer).__name__} is a slow tokenizer without character offsets, so words cannot be found "
                "in its subwords; load the fast one with AutoTokenizer.from_pretrained(...)"
            )
        self._structural = {
            **{token: SEP for token in (tokenizer.eos_token_id, tokenizer.sep_token_id) if token is not None},
            **{token: CLS for token in (tokenizer.bos_token_id, tokenizer.cls_token_id) if token is not None},
        }

    def align(self, encoding: Encoding, tagged: tuple[TaggedText, ...]) -> AlignedText:
        """Align one encoding with its one or two tagged texts (two for a sentence pair)."""
        sequences = np.array([NO_WORD if number is None else number for number in encoding.sequence_ids])
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        tag_ids = np.full(len(spans), UNK, dtype=np.int64)
        word_ids = np.full(len(spans), NO_WORD, dtype=np.int64)
        sentence_ids = np.full(len(spans), NO_WORD, dtype=np.int64)
        for position in (sequences == NO_WORD).nonzero()[0]:
            tag_ids[position] = self._structural.get(encoding.ids[position], UNK)
        coverage = Coverage()
        first_word = first_sentence = 0
        for number, text in enumerate(tagged):
            inside = (sequences == number).nonzero()[0]
            words = overlapping_words(spans[inside], text)
            met, at = words[words != NO_WORD], inside[words != NO_WORD]
            tag_ids[at] = text.tag_ids[met]
            word_ids[at] = met + first_word
            sentence_ids[at] = text.sentence_ids[met] + first_sentence
            coverage += _coverage(words, text, spans[inside], truncated=bool(encoding.overflowing))
            # No bounded reach may lead from one text of a pair into the other.
            first_word += len(text) + MAX_OFFSET
            first_sentence += int(text.sentence_ids[-1]) + 1 if len(text) else 0
        padding = np.array(encoding.attention_mask) == 0
        tag_ids[padding] = PAD
        return AlignedText(tag_ids, word_ids, sentence_ids, coverage)


def overlapping_words(spans: NDArray[np.int64], text: TaggedText) -> NDArray[np.int64]:
    """Return for each character span (start, end) the word that overlaps it most, the first of equals, or -1.

    An empty span belongs to the word that it lies in.
    """
    first, last = _touched(spans, text)
    words = np.where(first <= last, first, NO_WORD)
    starts, ends = spans[:, 0], spans[:, 1]
    for position in (first < last).nonzero()[0]:
        candidates = slice(first[position], last[position] + 1)
        overlap = np.minimum(text.ends[candidates], ends[position]) - np.maximum(
            text.starts[candidates], starts[position]
        )
        words[position] += overlap.argmax()
    return words


def _touched(spans: NDArray[np.int64], text: TaggedText) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last word that each span overlaps; the first is beyond the last where there is none."""
    starts, ends = spans[:, 0], np.maximum(spans[:, 1], spans[:, 0] + 1)
    return np.searchsorted(text.ends, starts, side="right"), np.searchsorted(text.starts, ends, side="left") - 1


def _coverage(words: NDArray[np.int64], text: TaggedText, spans: NDArray[np.int64], *, truncated: bool) -> Coverage:
    readable = len(text)
    if truncated:
        readable = int((text.starts < spans[:, 1].max(initial=0)).sum())
    first, last = _touched(spans, text)
    touching = np.zeros(len(text) + 1, dtype=np.int64)
    some = first <= last
    np.add.at(touching, first[some], 1)
    np.add.at(touching, last[some] + 1, -1)
    covered = int((touching.cumsum()[:-1] > 0).sum())
    owners = np.unique(words[words != NO_WORD])
    return Coverage(
        words=readable,
        covered_words=covered,
        merged_words=covered - len(owners),
        subwords=len(words),
        covered_subwords=int((words != NO_WORD).sum()),
    )
