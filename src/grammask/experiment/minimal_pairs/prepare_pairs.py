"""Minimal pairs as a model reads them: annotated, and the places of the tokens that are scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from datasets import Dataset

from ...data.minimal_pairs import MinimalPair, minimal_pairs
from ...tagging.annotate import Annotator
from .config import PairsConfig

_OFFSETS = "offset_mapping"


@dataclass(frozen=True)
class Sentences:
    """One side of all pairs: what the model reads, and for each sentence the places that count."""

    features: Dataset
    places: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class PreparedPairs:
    """All pairs, `phenomena` by pair, and their two sides. `alike` tells which have equal tags and words on both."""

    pairs: tuple[MinimalPair, ...]
    phenomena: tuple[str, ...]
    good: Sentences
    bad: Sentences
    alike: tuple[bool, ...]

    @property
    def sha256(self) -> str:
        """The hash of all sentences."""
        return sha256("\n".join(f"{pair.good}\t{pair.bad}" for pair in self.pairs).encode()).hexdigest()


def prepare_pairs(config: PairsConfig, annotator: Annotator) -> PreparedPairs:
    """Draw and annotate the pairs of all phenomena."""
    drawn = [(name, pair) for name in config.phenomena for pair in minimal_pairs(name, config.count, seed=config.seed)]
    pairs = tuple(pair for _, pair in drawn)
    scored = [pair.scored for pair in pairs]
    good = _annotate(annotator, [pair.good for pair in pairs], scored)
    bad = _annotate(annotator, [pair.bad for pair in pairs], scored)
    alike = tuple(
        one["tag_ids"] == other["tag_ids"] and one["word_ids"] == other["word_ids"]
        for one, other in zip(good.features, bad.features, strict=True)
    )
    return PreparedPairs(pairs, tuple(name for name, _ in drawn), good, bad, alike)


def _annotate(annotator: Annotator, texts: list[str], scored: Sequence[str | None]) -> Sentences:
    columns = dict(annotator(texts, return_offsets_mapping=True))
    offsets = columns.pop(_OFFSETS)
    places = tuple(
        _places(text, word, spans, words)
        for text, word, spans, words in zip(texts, scored, offsets, columns["word_ids"], strict=True)
    )
    return Sentences(Dataset.from_dict(columns), places)


def _places(text: str, word: str | None, spans: Sequence[tuple[int, int]], words: Sequence[int]) -> tuple[int, ...]:
    """Return the places of a word's tokens, None for all words; a token may begin with the space before its word."""
    of_words = tuple(place for place, number in enumerate(words) if number >= 0)
    if word is None:
        return of_words
    start = text.index(f" {word} ") + 1
    return tuple(place for place in of_words if spans[place][0] < start + len(word) and spans[place][1] > start)
