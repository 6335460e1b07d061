"""The words that a model reads: those of a tagger that own a token, numbered after tokens have found their words.

A tagger's word without a token of its own ("not" where the tokenizer knows "cannot") is no word to the model: with a
number it would push the words around it apart. Words that truncation cut off keep their numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..grammar.tags import TAG_IDS, UNK
from .overlap import NO_WORD, Integers, join_neighbours, overlapping_words, shows_nothing, touched_words
from .tagger import TaggedText

_OTHER = TAG_IDS["X"]


@dataclass(frozen=True, eq=False)
class ReadWords:
    """One text as the model reads it: its tokens' tags, words and sentences (tokens,), -1 for none.

    `numbers` (words,) holds the number under which each of the tagger's words is read: that of the token's word where
    several share a token, -1 where no token overlaps it or it was cut. `owned` counts words with a token of their own,
    `cut_before` and `cut_after` those that truncation cut off at the text's beginning and end.
    """

    tag_ids: Integers
    word_ids: Integers
    sentence_ids: Integers
    numbers: Integers
    owned: int
    cut_before: int
    cut_after: int


def read_words(
    text: Sequence[str], tagged: TaggedText, spans: Integers, special: NDArray[np.bool_], cut_off: Iterable[Integers]
) -> ReadWords:
    """Find the words of a text's tokens, by their character spans (tokens, 2).

    Tokens marked `special` stand for themselves in the tokenizer's vocabulary: each is a word, tagged X. `cut_off`
    holds the spans of tokens that truncation cut off.
    """
    owners = _owners(text, tagged, spans, special)
    before, after = _cut(tagged, spans, cut_off)
    word_ids, firsts = _numbered(owners, before)
    of_tagger = (owners >= 0) & (owners < len(tagged))
    tag_ids = np.where(owners == NO_WORD, UNK, _OTHER)
    tag_ids[of_tagger] = tagged.tag_ids[owners[of_tagger]]
    return ReadWords(
        tag_ids=tag_ids,
        word_ids=word_ids,
        sentence_ids=np.where(owners == NO_WORD, NO_WORD, _sentences(owners, tagged, spans)),
        numbers=_numbers(owners, word_ids, firsts, tagged, spans),
        owned=len(np.unique(owners[of_tagger])),
        cut_before=before,
        cut_after=after,
    )


def _owners(text: Sequence[str], tagged: TaggedText, spans: Integers, special: NDArray[np.bool_]) -> Integers:
    """Return what each token belongs to: a tagger's word, a number beyond them for a word of its own, or -1."""
    lies = overlapping_words(spans, tagged)
    # An empty span before a word is no part of it yet: truncation may have cut the word off.
    empty = ((spans[:, 0] == spans[:, 1]) & (lies != NO_WORD)).nonzero()[0]
    lies[empty[tagged.starts[lies[empty]] == spans[empty, 0]]] = NO_WORD
    owners = np.where(special, len(tagged) + np.arange(len(spans)), lies)
    nothing = np.zeros(len(spans), dtype=bool)
    for position in (owners == NO_WORD).nonzero()[0]:
        start, end = spans[position]
        nothing[position] = shows_nothing("".join(text[start:end]))
    joined = join_neighbours(owners, nothing)
    # In a text without any word they are one: [UNK] would join all words of the other text of a pair.
    return np.where(nothing & (joined == NO_WORD), len(tagged), joined)


def _cut(tagged: TaggedText, spans: Integers, cut_off: Iterable[Integers]) -> tuple[int, int]:
    """Return how many words lie wholly before and after the tokens that are there, on the sides that were cut."""
    first, last = spans[:, 0].min(initial=np.iinfo(np.int64).max), spans[:, 1].max(initial=0)
    for rest in cut_off:
        if rest[:, 1].max(initial=0) > last:
            return 0, int((tagged.starts >= last).sum())
        if rest[:, 0].min(initial=first) < first:
            return int((tagged.ends <= first).sum()), 0
    return 0, 0


def _numbered(owners: Integers, before: int) -> tuple[Integers, Integers]:
    """Return the word number of each token, counted from `before`, and which tokens are the first of a word."""
    of_words = (owners != NO_WORD).nonzero()[0]
    # A word is a run: what a special token parts are two words.
    begins = np.diff(owners[of_words], prepend=NO_WORD) != 0
    word_ids = np.full(len(owners), NO_WORD, dtype=np.int64)
    word_ids[of_words] = begins.cumsum() - 1 + before
    return word_ids, of_words[begins]


def _sentences(owners: Integers, tagged: TaggedText, spans: Integers) -> Integers:
    """Return the sentence of each token's word; a special token's is that of what it overlaps, or of what follows."""
    if not len(tagged):
        return np.zeros(len(owners), dtype=np.int64)
    following = touched_words(spans, tagged)[0]
    words = np.where((owners >= 0) & (owners < len(tagged)), owners, following)
    sentences: Integers = tagged.sentence_ids[words.clip(max=len(tagged) - 1)].astype(np.int64)
    return sentences


def _numbers(owners: Integers, word_ids: Integers, firsts: Integers, tagged: TaggedText, spans: Integers) -> Integers:
    numbers = np.full(len(tagged), NO_WORD, dtype=np.int64)
    first, last = touched_words(spans, tagged)
    shared = (first < last) | ((first == last) & (owners >= len(tagged)))
    # Backwards, so that the first token that overlaps a word says its number.
    for position in shared.nonzero()[0][::-1]:
        numbers[first[position] : last[position] + 1] = word_ids[position]
    owning = firsts[owners[firsts] < len(tagged)][::-1]
    numbers[owners[owning]] = word_ids[owning]
    return numbers
