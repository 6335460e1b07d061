"""How well a tagger does on texts whose words are known, and how fast it is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from ...tagging.overlap import NO_WORD, overlapping_words
from ...tagging.subwords.pieces import find_pieces
from ...tagging.subwords.subword_tagger import SubwordTagger
from ...tagging.tagger import TaggedText
from .lessons import NO_LESSON, find_owners, word_starts
from .tagged_texts import TaggedTexts

_SECONDS: Final[float] = 1.0  # of each measurement, at least
_ROUNDS: Final[int] = 5
_TOGETHER: Final[int] = 256  # texts


@dataclass(frozen=True)
class Score:
    """Counts on known texts: words and those with the right tag, subwords and those told rightly from the last one.

    A word has the tag of the tagger's word that overlaps it most. A subword begins a word, or goes on with one.
    """

    texts: int
    words: int
    right: int
    subwords: int
    parted: int

    @property
    def accuracy(self) -> float:
        """The share of words with the right tag."""
        return self.right / max(self.words, 1)

    @property
    def parting(self) -> float:
        """The share of subwords that begin a word, or don't, as they should."""
        return self.parted / max(self.subwords, 1)


def score_tagger(tagger: SubwordTagger, known: TaggedTexts) -> Score:
    """Let a tagger tag texts, and compare."""
    words = right = subwords = parted = 0
    for start in range(0, len(known), _TOGETHER):
        texts, expected = known.texts[start : start + _TOGETHER], known.words[start : start + _TOGETHER]
        found = list(tagger.tag(texts))
        words += sum(map(len, expected))
        right += sum(_count_right(*both) for both in zip(expected, found, strict=True))
        pieces = find_pieces(tagger.tokenizer, texts)
        wanted = word_starts(find_owners(pieces, texts, expected))
        begins = word_starts(find_owners(pieces, texts, found))
        subwords += int((wanted != NO_LESSON).sum())
        parted += int(((wanted == begins) & (wanted != NO_LESSON)).sum())
    return Score(len(known), words, right, subwords, parted)


def _count_right(expected: TaggedText, found: TaggedText) -> int:
    owners = overlapping_words(np.stack([expected.starts, expected.ends], 1), found)
    there = owners != NO_WORD
    return int((found.tag_ids[owners[there]] == expected.tag_ids[there]).sum())


@dataclass(frozen=True)
class Speed:
    """Subwords a second of the processor, on one thread: from ids to answers, and from texts to words."""

    network: float
    texts: float


def measure_speed(tagger: SubwordTagger, texts: Sequence[str]) -> Speed:
    """Measure a tagger on one thread; the best of a few rounds counts.

    Seconds are the processor's: those of a tokenizer's own threads add up, and other programs add little.
    """
    pieces = find_pieces(tagger.tokenizer, texts)
    columns = [torch.from_numpy(column) for column in (pieces.ids, pieces.cues, pieces.texts)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = _rate(lambda: tagger.network.read_texts(*columns), len(pieces.ids))
        whole = _rate(lambda: list(tagger.tag(texts)), len(pieces.ids))
    finally:
        torch.set_num_threads(threads)
    return Speed(network, whole)


def _rate(run: Callable[[], object], size: int) -> float:
    run()
    best = 0.0
    for _ in range(_ROUNDS):
        start, runs = time.process_time(), 0
        while (seconds := time.process_time() - start) < _SECONDS / _ROUNDS:
            run()
            runs += 1
        best = max(best, runs * size / seconds)
    return best
