"""The texts of a call, in the Annotator's spelling or the tokenizer's: several or one, whole or as words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..printing import quoted
from .split_text import SplitText, check_split, tag_words
from .tagger import TaggedText, Tagger
from .texts import check_pairs


@dataclass(frozen=True)
class CallTexts:
    """The texts of one call, and the second text of each pair; `alone` says that the answer is no batch."""

    first: Sequence[str | SplitText]
    second: Sequence[str | SplitText] | None
    alone: bool = False

    @property
    def split(self) -> bool:
        """Whether the texts come as words."""
        return isinstance(self.first[0], SplitText)

    @property
    def given(self) -> tuple[list[Any], list[Any] | None]:
        """The texts as a tokenizer takes them."""
        return _given(self.first), None if self.second is None else _given(self.second)

    def tag(self, tagger: Tagger) -> tuple[Iterable[TaggedText], Iterable[TaggedText] | None]:
        """Return what a tagger says of the texts, lazily; of those that come as words, for each as one character."""
        return _tag(tagger, self.first), None if self.second is None else _tag(tagger, self.second)

    def with_tags(
        self, first: Iterable[TaggedText], second: Iterable[TaggedText] | None
    ) -> Iterator[tuple[tuple[Sequence[str], ...], tuple[TaggedText, ...]]]:
        """Return each text, or both of a pair, with what a tagger says of it, lazily."""
        texts, pairs = self.given
        if pairs is None or second is None:
            return zip(zip(texts, strict=True), zip(first, strict=True), strict=True)
        return zip(zip(texts, pairs, strict=True), zip(first, second, strict=True), strict=True)


def read_call(texts: Any, pairs: Any, options: dict[str, Any]) -> CallTexts:
    """Return the texts of a call, and take what says them out of `options`; raises `InputError`.

    `text` and `text_pair` are the tokenizer's names: one text under them comes back as rows without a batch.
    """
    alone = texts is None and pairs is None
    if "text" in options or "text_pair" in options:
        if not alone:
            raise InputError("give texts either first or as text= and text_pair=, not both")
        texts, pairs = options.pop("text", None), options.pop("text_pair", None)
    is_split, spaces = options.pop("is_split_into_words", False), options.pop("spaces", None)
    if is_split:
        return _split(texts, pairs, spaces, alone)
    if spaces is not None:
        raise InputError("spaces belong to words: give them with is_split_into_words=True")
    if alone and pairs is None:
        texts, pairs = _pairs(texts)
    return CallTexts(*check_pairs(texts, pairs), alone=alone and isinstance(texts, str))


def _tag(tagger: Tagger, texts: Sequence[str | SplitText]) -> Iterable[TaggedText]:
    words = [text for text in texts if isinstance(text, SplitText)]
    if not words:
        return tagger.tag([text for text in texts if isinstance(text, str)])
    return (text.to_words(tagged) for text, tagged in zip(words, tag_words(tagger, words), strict=True))


def _given(texts: Sequence[str | SplitText]) -> list[Any]:
    return [list(text.words) if isinstance(text, SplitText) else text for text in texts]


def _pairs(texts: Any) -> tuple[Any, Any]:
    """Take a list of pairs, as tokenizers do, for two lists."""
    rows = texts if isinstance(texts, list | tuple) else ()
    if rows and all(isinstance(row, list | tuple) and len(row) == 2 for row in rows):
        return [row[0] for row in rows], [row[1] for row in rows]
    return texts, None


def _split(texts: Any, pairs: Any, spaces: Any, alone: bool) -> CallTexts:
    for name, given in (("texts", texts), ("pairs", pairs)):
        if not isinstance(given, list | tuple) and not (name == "pairs" and given is None):
            raise InputError(f"{name} that are split into words are lists of words, but are {quoted(given)}")
    if not texts:
        raise InputError("there is no text to annotate: the list is empty")
    if spaces is not None and pairs is not None:
        raise InputError("spaces are for texts, not for pairs: leave them out")
    one = all(isinstance(word, str) for word in texts)
    if one:
        texts, pairs = [texts], None if pairs is None else [pairs]
        spaces = None if spaces is None else [spaces]
    first = check_split(texts, spaces, "texts")
    second = None if pairs is None else check_split(pairs, None, "pairs")
    if second is not None and len(second) != len(first):
        raise InputError(f"there are {len(first)} texts but {len(second)} pairs; each text needs one")
    return CallTexts(first, second, alone and one)
