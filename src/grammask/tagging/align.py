"""Alignment: from the tagged words of a text to the tag, word and sentence of each subword, by character offsets.

Offsets point into the text as it was given, whatever the tokenizer does to it (lower-casing, stripping accents,
splitting into bytes), so one way serves WordPiece, byte-level BPE and SentencePiece.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..errors import AlignmentError
from ..grammar.rules import MAX_OFFSET
from ..grammar.tags import CLS, PAD, SEP, UNK
from .chat import Chat
from .coverage import Coverage
from .new_text import special_tokens
from .overlap import NO_WORD, Integers
from .tagger import TaggedText
from .words import ReadWords, read_words


@dataclass(frozen=True, eq=False)
class AlignedText:
    """The tag, word and sentence of each token of an encoded text: int64 arrays (length,), and the coverage.

    `texts` holds the words of its one or two texts.
    """

    tag_ids: Integers
    word_ids: Integers
    sentence_ids: Integers
    texts: tuple[ReadWords, ...]
    coverage: Coverage


@dataclass(frozen=True, eq=False)
class ReadText:
    """One text with what the tagger and the tokenizer made of it; `inputs` are tensors (1, length)."""

    text: str
    tagged: TaggedText
    aligned: AlignedText
    inputs: dict[str, Tensor]


class Aligner:
    """Aligns what one fast tokenizer encodes; raises `AlignmentError` for a tokenizer without character offsets."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            raise AlignmentError(
                f"{type(tokenizer).__name__} is no tokenizer of transformers; load one with "
                "AutoTokenizer.from_pretrained(...)"
            )
        if not tokenizer.is_fast:
            raise AlignmentError(
                f"{type(tokenizer).__name__} is a slow tokenizer without character offsets, so words cannot be found "
                "in its subwords; load the fast one with AutoTokenizer.from_pretrained(...)"
            )
        self.structural = {
            **{token: SEP for token in (tokenizer.eos_token_id, tokenizer.sep_token_id) if token is not None},
            **{token: CLS for token in (tokenizer.bos_token_id, tokenizer.cls_token_id) if token is not None},
        }
        self._special = list(special_tokens(tokenizer).values())
        self._unknown = tokenizer.unk_token_id, tokenizer.unk_token

    def markup_of(self, encoding: Encoding, chat: Chat) -> NDArray[np.bool_]:
        """Return which tokens of a conversation are special ones of its template (tokens,)."""
        ids, sequences, spans = _columns(encoding, split=False)
        special: NDArray[np.bool_] = self._are_special(ids, spans, chat.text) & (sequences == 0)
        for position in special.nonzero()[0]:
            special[position] = chat.is_markup(*spans[position])
        return special

    def align(
        self,
        encoding: Encoding,
        texts: tuple[Sequence[str], ...],
        tagged: tuple[TaggedText, ...],
        markup: NDArray[np.bool_] | None = None,
        *,
        split: bool = False,
    ) -> AlignedText:
        """Align one encoding with its one or two texts (two for a sentence pair).

        Tokens of `markup` are structure: the first of a text is [CLS] if it is the tokenizer's, all others are [SEP].
        Texts that are `split` are their words, each as long as one character of a text.
        """
        ids, sequences, spans = _columns(encoding, split)
        tag_ids = self.structure(encoding)
        if markup is not None:
            first = np.argmax(encoding.attention_mask)
            tag_ids[markup & ((tag_ids != CLS) | (np.arange(len(ids)) > first))] = SEP
            sequences = np.where(markup, NO_WORD, sequences)
        word_ids, sentence_ids = np.full((2, len(ids)), NO_WORD, dtype=np.int64)
        rest = encoding.overflowing
        first_word = first_sentence = 0
        found = []
        for number, (text, words) in enumerate(zip(texts, tagged, strict=True)):
            inside = sequences == number
            special = self._are_special(ids[inside], spans[inside], text)
            read = read_words(text, words, spans[inside], special, _spans_of(rest, number, split))
            tag_ids[inside] = read.tag_ids
            word_ids[inside] = _from(first_word, read.word_ids)
            sentence_ids[inside] = _from(first_sentence, read.sentence_ids)
            # No bounded reach may lead from one text of a pair into the other.
            first_word += int(read.word_ids.max(initial=NO_WORD)) + 1 + MAX_OFFSET
            sentences = words.sentence_ids if len(words) else read.sentence_ids
            first_sentence += int(sentences.max(initial=NO_WORD)) + 1
            found.append(read)
        real = int(np.count_nonzero(encoding.attention_mask))
        around = Coverage(tokens=real, unknown_tokens=int((tag_ids == UNK).sum()))
        return AlignedText(tag_ids, word_ids, sentence_ids, tuple(found), sum(map(_coverage, found), around))

    def structure(self, encoding: Encoding) -> Integers:
        """Return the tags of an encoding's tokens that belong to no text, padding's among them; [UNK] for others."""
        tag_ids = np.array([self.structural.get(token, UNK) for token in encoding.ids], dtype=np.int64)
        tag_ids[np.array(encoding.attention_mask) == 0] = PAD
        return tag_ids

    def tokens(self, encoding: Encoding, split: bool) -> tuple[Integers, Integers]:
        """Return the id and span of each token (tokens, 3), and the number of the text that each is from."""
        ids, sequences, spans = _columns(encoding, split)
        return np.concatenate([ids[:, None], spans], axis=1), sequences

    def _are_special(self, ids: Integers, spans: Integers, text: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which tokens are special ones that the text spells out; the unknown token may stand for any word."""
        special = np.isin(ids, self._special)
        unknown, spelled = self._unknown
        for position in (special & (ids == unknown)).nonzero()[0]:
            start, end = spans[position]
            special[position] = "".join(text[start:end]).strip() == spelled
        return special


def _columns(encoding: Encoding, split: bool) -> tuple[Integers, Integers, Integers]:
    """Return an encoding's token ids, the number of the text that each is from (-1 for none), and their spans.

    In a text that is split the span of a token is that of its word.
    """
    ids = np.array(encoding.ids, dtype=np.int64)
    sequences = _numbers(encoding.sequence_ids)
    # Where nothing is put around texts, tokenizers count padding to the first of them.
    sequences[np.array(encoding.attention_mask) == 0] = NO_WORD
    if split:
        words = _numbers(encoding.word_ids)
        return ids, sequences, np.stack([words, words + 1], axis=1)
    return ids, sequences, np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)


def _numbers(found: list[int | None]) -> Integers:
    return np.array([NO_WORD if number is None else number for number in found], dtype=np.int64)


def _spans_of(encodings: list[Encoding], number: int, split: bool) -> Iterator[Integers]:
    """Return the spans of one text's tokens in each encoding."""
    for encoding in encodings:
        _, sequences, spans = _columns(encoding, split)
        yield spans[sequences == number]


def _from(first: int, numbers: Integers) -> Integers:
    return np.where(numbers == NO_WORD, NO_WORD, numbers + first)


def _coverage(read: ReadWords) -> Coverage:
    covered = int((read.numbers != NO_WORD).sum())
    cut = read.cut_before + read.cut_after
    return Coverage(
        words=len(read.numbers) - cut,
        covered_words=covered,
        merged_words=covered - read.owned,
        subwords=len(read.word_ids),
        covered_subwords=int((read.word_ids != NO_WORD).sum()),
        cut_words=cut,
    )
