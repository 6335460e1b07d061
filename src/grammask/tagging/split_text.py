"""Texts that come as words: how they are spelled for a tagger, and its answer for the words as they were given."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InputError
from ..printing import quoted
from .overlap import NO_WORD, Integers, overlapping_words
from .tagger import TaggedText, Tagger
from .texts import as_list, check_words


@dataclass(frozen=True)
class SplitText:
    """The words of one text, and whether a space follows each; words without a character are none to a tagger.

    `tagged` are the words where their tags are known, each as long as one character.
    """

    words: tuple[str, ...]
    spaces: tuple[bool, ...]
    tagged: TaggedText | None = None

    @cached_property
    def visible(self) -> tuple[tuple[str, bool], ...]:
        """The words that have a character, and whether a space follows each."""
        return tuple((word, space) for word, space in zip(self.words, self.spaces, strict=True) if word)

    @cached_property
    def text(self) -> str:
        """The text that the words make."""
        return "".join(word + " " * space for word, space in self.visible)

    @cached_property
    def spans(self) -> Integers:
        """Where each word stands in the text (words, 2); one without a character has an empty span."""
        sizes = np.array([len(word) for word in self.words], dtype=np.int64)
        steps = sizes + np.array([bool(word) and space for word, space in zip(self.words, self.spaces, strict=True)])
        starts = steps.cumsum() - steps
        return np.stack([starts, starts + sizes], axis=1)

    def to_words(self, tagged: TaggedText) -> TaggedText:
        """Return the tags of the given words, each word as long as one character; what the tagger left out is none.

        A given word has the tag and the sentence of the tagger's word that overlaps it most.
        """
        found = np.where(self.spans[:, 0] < self.spans[:, 1], overlapping_words(self.spans, tagged), NO_WORD)
        there = (found != NO_WORD).nonzero()[0].astype(np.int32)
        return TaggedText(there, there + 1, tagged.tag_ids[found[there]], tagged.sentence_ids[found[there]])


def tag_words(tagger: Tagger, texts: Sequence[SplitText]) -> Iterator[TaggedText]:
    """Tag texts that come as words, in characters of their `text`: those words, where the tagger's `tag_words` can."""
    own: Any = getattr(tagger, "tag_words", None)
    answers: Iterable[TaggedText] = tagger.tag([text.text for text in texts]) if own is None else own(texts)
    yield from answers


def check_split(texts: Any, spaces: Any, name: str) -> list[SplitText]:
    """Return several texts that come as words; raises `InputError`. Where `spaces` is None one follows each word."""
    checked = []
    given = [None] * len(texts) if spaces is None else as_list(spaces, "spaces", "lists, one for each text")
    if len(given) != len(texts):
        raise InputError(f"there are {len(texts)} {name}, but spaces for {len(given)}; each needs its own")
    for number, (words, after) in enumerate(zip(texts, given, strict=True)):
        origin = f"text {number} of {name}"
        if isinstance(words, str):
            raise InputError(f"{origin} is {quoted(words)}, but must be a list of words: words.split()")
        found = check_words(words, origin)
        follows = (True,) * len(found) if after is None else _check_spaces(after, origin)
        if len(follows) != len(found):
            raise InputError(f"{origin} has {len(found)} words, but {len(follows)} spaces; each needs one")
        checked.append(SplitText(found, follows))
    return checked


def _check_spaces(spaces: Any, origin: str) -> tuple[bool, ...]:
    listed = as_list(spaces, f"{origin}: spaces", "values, True or False for each word")
    for space in listed:
        if not isinstance(space, bool | np.bool_):
            raise InputError(f"{origin}: spaces hold {quoted(space)}, but must hold True or False for each word")
    return tuple(map(bool, listed))
