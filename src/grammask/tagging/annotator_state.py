"""What an Annotator holds: its parts, what it counts, and what of it travels to another process."""

import copy
from collections.abc import Iterable
from typing import Any, Self

from transformers import BatchEncoding, PreTrainedTokenizerBase

from .align import AlignedText
from .align_texts import align_texts
from .call_texts import CallTexts
from .coverage import Coverage, check_share
from .encode import check_limit
from .language_check import LanguageCheck
from .tag_cache import CachedTagger
from .tagger import TaggedText
from .tagger_checks import CheckedTagger


class AnnotatorState:
    """A tokenizer and a tagger, what a call doesn't say, and the coverage of all calls.

    Pickled, and so hashed, it is what it was made of; coverage stays here. A pipeline goes by its name, and is loaded
    where it is first needed.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tagger: CheckedTagger | CachedTagger,
        strict: float | None,
        max_length: int | None,
    ) -> None:
        self.tokenizer = tokenizer
        self.tagger = tagger
        self.coverage = Coverage()
        self._language = LanguageCheck()
        self._strict = check_share(strict)
        self._max_length = None if max_length is None else check_limit(max_length, tokenizer, pairs=False)

    @property
    def max_length(self) -> int | None:
        """The most tokens of a text or pair, where a call doesn't say; None: what the tokenizer says."""
        return self._max_length

    def cut_at(self, max_length: int | None) -> Self:
        """Return the same annotator, but one that cuts elsewhere; raises `InputError` for what holds no text."""
        made = copy.copy(self)
        made._max_length = None if max_length is None else check_limit(max_length, self.tokenizer, pairs=False)
        return made

    def lengthen(self, max_length: int) -> None:
        """Cut at `max_length` from now on, in place, and let the tokenizer do so too: the model reads more."""
        self.tokenizer.model_max_length = max_length
        if self._max_length is not None:
            self._max_length = max_length

    @property
    def _parts(self) -> dict[str, Any]:
        return {name: part for name, part in vars(self).items() if name != "_language"}

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), {**self._parts, "coverage": Coverage()})

    def __copy__(self) -> Self:
        made: Self = _restored(type(self), self._parts)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return one with a tokenizer of its own; nothing changes a tagger, so both ask the same."""
        made: Self = _restored(type(self), {**self._parts, "tokenizer": copy.deepcopy(self.tokenizer, memo)})
        return made

    def _align(
        self,
        texts: CallTexts,
        first: Iterable[TaggedText],
        second: Iterable[TaggedText] | None,
        *,
        max_length: int | None,
        **options: Any,
    ) -> tuple[BatchEncoding, list[AlignedText]]:
        limit = self._max_length if max_length is None else max_length
        encoded, aligned = align_texts(self.tokenizer, texts, first, second, max_length=limit, **options)
        self._count(aligned)
        return encoded, aligned

    def _count(self, aligned: list[AlignedText]) -> None:
        coverage = sum((text.coverage for text in aligned), Coverage())
        self.coverage += coverage
        coverage.check(self._strict)
        self._language.add(aligned, self.tagger.name, strict=self._strict is not None)


def _restored(kind: type[Any], state: dict[str, Any]) -> Any:
    made = object.__new__(kind)
    vars(made).update(state, _language=LanguageCheck())  # each copy reads texts of its own
    return made
