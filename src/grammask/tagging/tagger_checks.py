"""What taggers answer, checked before anything is built on it or kept."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from ..errors import TaggingError
from ..grammar.tags import UPOS
from ..printing import quoted
from .split_text import SplitText, tag_words
from .tagger import TaggedText, Tagger, TaggerWrapper

_COLUMNS: Final[tuple[str, ...]] = ("starts", "ends", "tag_ids", "sentence_ids")
_HIGHEST: Final[int] = np.iinfo(np.int32).max
_NONE: Final[object] = object()


class CheckedTagger(TaggerWrapper):
    """A tagger whose answers are checked; raises `TaggingError` with its name where they are not what it promises."""

    def __init__(self, tagger: Tagger) -> None:
        for part in ("name", "version", "tag"):
            if not hasattr(tagger, part):
                raise TaggingError(
                    f"tagger must be the name of a spaCy pipeline or have name, version and tag(texts), but "
                    f"{type(tagger).__name__} has no {part}"
                )
        super().__init__(tagger)

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag texts lazily, in order; see `TaggedText`."""
        return self._checked(self._tagger.tag(texts), texts)

    def tag_words(self, texts: Sequence[SplitText]) -> Iterator[TaggedText]:
        """Tag texts that come as words; see `split_text.tag_words`."""
        return self._checked(tag_words(self._tagger, texts), [text.text for text in texts])

    def _checked(self, found: Any, texts: Sequence[str]) -> Iterator[TaggedText]:
        if not isinstance(found, Iterable):
            raise TaggingError(f"tagger {self.name} answered {type(found).__name__}, but must answer a text at a time")
        answers = iter(found)
        for number, text in enumerate(texts):
            answer = next(answers, _NONE)
            if answer is _NONE:
                raise TaggingError(f"tagger {self.name} answered {number} of {len(texts)} texts; it must answer each")
            if number == len(texts) - 1 and next(answers, _NONE) is not _NONE:
                raise TaggingError(f"tagger {self.name} answered more than the {len(texts)} texts that it was given")
            yield check_tagged(answer, text, origin=f"tagger {self.name}: text {number}")


def check_tagged(tagged: Any, text: str, *, origin: str) -> TaggedText:
    """Return a text's words as int32 arrays; raises `TaggingError`, naming `origin`, for what cannot be its words."""
    if not isinstance(tagged, TaggedText):
        raise TaggingError(f"{origin}: the answer is no TaggedText but {type(tagged).__name__}")
    columns = [_check_column(getattr(tagged, name), f"{origin}: {name}") for name in _COLUMNS]
    sizes = [len(column) for column in columns]
    if len(set(sizes)) > 1:
        sized = ", ".join(f"{size} {name}" for name, size in zip(_COLUMNS, sizes, strict=True))
        raise TaggingError(f"{origin}: there are {sized}; each word needs one of each")
    checked = TaggedText(*columns)
    _check_words(checked, text, origin)
    return checked


def check_all(tagged: Any, texts: Sequence[str], *, origin: str) -> list[TaggedText]:
    """Return the words of all texts, checked one by one; raises `TaggingError`, naming `origin`."""
    if not isinstance(tagged, Iterable) or getattr(tagged, "ndim", 1) == 0:
        raise TaggingError(f"{origin} must be one TaggedText for each text, but are {quoted(tagged)}")
    answers = list(tagged)
    if len(answers) != len(texts):
        raise TaggingError(f"{origin} are for {len(answers)} texts, but there are {len(texts)}; each needs one")
    return [
        check_tagged(answer, text, origin=f"{origin}: text {number}")
        for number, (answer, text) in enumerate(zip(answers, texts, strict=True))
    ]


def _check_column(values: Any, name: str) -> Any:
    column = np.asarray(values)
    if column.ndim != 1 or (column.size and not np.issubdtype(column.dtype, np.integer)):
        raise TaggingError(
            f"{name} must be whole numbers (words,), but have dtype {column.dtype} and shape {column.shape}"
        )
    if column.size and not 0 <= int(column.min()) <= int(column.max()) <= _HIGHEST:
        wrong = column.min() if column.min() < 0 else column.max()
        raise TaggingError(f"{name} hold {wrong}, but must hold 0 to {_HIGHEST}")
    return column.astype(np.int32)


def _check_words(words: TaggedText, text: str, origin: str) -> None:
    """Check that words lie inside of the text one after the other, and that tags and sentences are what they can be."""
    for wrong, what in (
        (words.ends > len(text), f"ends beyond the text's {len(text)} characters"),
        (words.ends <= words.starts, "ends before it has a character"),
        (words.starts < np.concatenate([[0], words.ends])[: len(words)], "starts before the word before it ends"),
        (words.tag_ids >= len(UPOS), f"has a tag that is no part of speech (0 to {len(UPOS) - 1})"),
        (np.diff(words.sentence_ids, prepend=0) < 0, "has a lower sentence number than the word before it"),
    ):
        if wrong.any():
            at = int(wrong.argmax())
            raise TaggingError(
                f"{origin}: word {at} ({words.starts[at]} to {words.ends[at]}, tag id {words.tag_ids[at]}, sentence "
                f"{words.sentence_ids[at]}) {what}"
            )
