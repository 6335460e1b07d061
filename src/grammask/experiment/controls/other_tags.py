"""Controls that change tags: each works on one text's lists and leaves structural tokens alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...grammar.tags import TAG_IDS, UPOS
from .control import Retag, TagControl, TagInputs, control


def make_retag(control: TagControl, training: Iterable[Mapping[str, Any]], *, seed: int) -> Retag:
    """Return what a control does to a text; `training` holds the texts that "lookup" counts in."""
    return control.make(TagInputs(training, seed, control.share))


@control(TagControl, "shuffled", "the tags of each sentence in a random order")
def shuffled(inputs: TagInputs) -> Retag:
    """Return what shuffles tags within their sentences."""
    return lambda text, number: _shuffled(text, np.random.default_rng([inputs.seed, number]))


@control(
    TagControl,
    "lookup",
    "each word has the tag that it has most often in the training texts; the tagger isn't asked",
)
def lookup(inputs: TagInputs) -> Retag:
    """Return what gives each word its most frequent tag."""
    return _Lookup(inputs.training)


@control(TagControl, "corrupted-N", "N % of the words have a tag drawn at random")
def corrupted(inputs: TagInputs) -> Retag:
    """Return what draws new tags for a share of the words."""
    return lambda text, number: _corrupted(text, inputs.share, np.random.default_rng([inputs.seed, number]))


def _words(text: Mapping[str, Sequence[int]]) -> dict[int, list[int]]:
    """Return the places of each word's subwords, by word number."""
    words: dict[int, list[int]] = {}
    for place, word in enumerate(text["word_ids"]):
        if word >= 0:
            words.setdefault(word, []).append(place)
    return words


def _with_tags(text: Mapping[str, Sequence[int]], tagged: Iterable[tuple[Sequence[int], int]]) -> list[int]:
    """Return a text's tag ids with new ones for some words, each given by the places of its subwords."""
    tags = list(text["tag_ids"])
    for places, tag in tagged:
        for place in places:
            tags[place] = tag
    return tags


def _shuffled(text: Mapping[str, Sequence[int]], rng: np.random.Generator) -> list[int]:
    sentences: dict[int, list[list[int]]] = {}
    for places in _words(text).values():
        sentences.setdefault(text["sentence_ids"][places[0]], []).append(places)
    tagged: list[tuple[list[int], int]] = []
    for words in sentences.values():
        drawn = rng.permutation([text["tag_ids"][places[0]] for places in words]).tolist()
        tagged += zip(words, drawn, strict=True)
    return _with_tags(text, tagged)


def _corrupted(text: Mapping[str, Sequence[int]], share: float, rng: np.random.Generator) -> list[int]:
    changed = (places for places in _words(text).values() if rng.random() < share)
    return _with_tags(text, ((places, int(rng.integers(len(UPOS)))) for places in changed))


class _Lookup:
    """The most frequent tag of each word, which its subwords name; NOUN for a word that training never saw."""

    def __init__(self, training: Iterable[Mapping[str, Any]]) -> None:
        counts: dict[tuple[int, ...], Counter[int]] = {}
        for text in training:
            for places in _words(text).values():
                counts.setdefault(_spelling(text, places), Counter())[text["tag_ids"][places[0]]] += 1
        self._tags = {word: count.most_common(1)[0][0] for word, count in counts.items()}

    def __call__(self, text: Mapping[str, Sequence[int]], number: int) -> list[int]:
        words = _words(text).values()
        return _with_tags(
            text, ((places, self._tags.get(_spelling(text, places), TAG_IDS["NOUN"])) for places in words)
        )


def _spelling(text: Mapping[str, Sequence[int]], places: Sequence[int]) -> tuple[int, ...]:
    return tuple(text["input_ids"][place] for place in places)
