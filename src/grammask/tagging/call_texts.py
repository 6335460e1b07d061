"""The texts of a call, in the Annotator's spelling or the tokenizer's: several or one, whole or as words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..errors import InputError
from ..printing import quoted
from .given_pipeline import TaggedDoc, is_doc, read_docs, spelled
from .given_tags import with_tags
from .split_text import SplitText, check_split, tag_words
from .tagger import TaggedText, Tagger
from .texts import check_pairs


@dataclass(frozen=True)
class CallTexts:
    """The texts of one call, and the second text of each pair; `alone` says that the answer is no batch."""

    first: Sequence[str | SplitText | TaggedDoc]
    second: Sequence[str | SplitText | TaggedDoc] | None
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
    is_split = options.pop("is_split_into_words", False)
    known = {name: options.pop(name, None) for name in ("spaces", "tags", "sentence_ids")}
    if is_split:
        return _split(texts, pairs, known, alone)
    for name, given in known.items():
        if given is not None:
            raise InputError(f"{name} belong to words: give them with is_split_into_words=True")
    if alone and pairs is None:
        texts, pairs = _pairs(texts)
    alone = alone and (isinstance(texts, str) or is_doc(texts))
    first, second = read_docs(texts), read_docs(pairs)
    checked = check_pairs(_spelled(first), _spelled(second))
    return CallTexts(_with_docs(first, checked[0]) or (), _with_docs(second, checked[1]), alone=alone)


def _tag(tagger: Tagger, texts: Sequence[str | SplitText | TaggedDoc]) -> Iterable[TaggedText]:
    words = [text for text in texts if isinstance(text, SplitText) and text.tagged is None]
    plain = [text for text in texts if isinstance(text, str)]
    if len(plain) == len(texts):
        return tagger.tag(plain)
    answers = chain(
        (text.to_words(tagged) for text, tagged in zip(words, tag_words(tagger, words), strict=True)) if words else (),
        tagger.tag(plain) if plain else (),
    )
    return (next(answers) if isinstance(text, str) or text.tagged is None else text.tagged for text in texts)


def _given(texts: Sequence[str | SplitText | TaggedDoc]) -> list[Any]:
    return [list(text.words) if isinstance(text, SplitText) else text for text in spelled(texts)]


def _spelled(texts: Any) -> Any:
    return spelled(texts) if isinstance(texts, list | tuple) else texts


def _with_docs(given: Any, checked: list[str] | None) -> list[str | TaggedDoc] | None:
    """Return the checked texts, and the documents in their places."""
    if checked is None or not isinstance(given, list | tuple):
        return None if checked is None else [*checked]
    return [doc if isinstance(doc, TaggedDoc) else text for doc, text in zip(given, checked, strict=True)]


def _pairs(texts: Any) -> tuple[Any, Any]:
    """Take a list of pairs, as tokenizers do, for two lists."""
    rows = texts if isinstance(texts, list | tuple) else ()
    if rows and all(isinstance(row, list | tuple) and len(row) == 2 for row in rows):
        return [row[0] for row in rows], [row[1] for row in rows]
    return texts, None


def _split(texts: Any, pairs: Any, known: dict[str, Any], alone: bool) -> CallTexts:
    for name, given in (("texts", texts), ("pairs", pairs)):
        if not isinstance(given, list | tuple) and not (name == "pairs" and given is None):
            raise InputError(f"{name} that are split into words are lists of words, but are {quoted(given)}")
    if not texts:
        raise InputError("there is no text to annotate: the list is empty")
    for name, given in known.items():
        if given is not None and pairs is not None:
            raise InputError(f"{name} are for texts, not for pairs: leave them out")
    one = isinstance(texts[0], str)
    if one:
        texts, pairs = [texts], None if pairs is None else [pairs]
        known = {name: None if given is None else [given] for name, given in known.items()}
    first = with_tags(check_split(texts, known["spaces"], "texts"), known["tags"], known["sentence_ids"])
    second = None if pairs is None else check_split(pairs, None, "pairs")
    if second is not None and len(second) != len(first):
        raise InputError(f"there are {len(first)} texts but {len(second)} pairs; each text needs one")
    return CallTexts(first, second, alone and one)
