"""The texts that callers hand over: a list of plain strings, or an error that says what is none."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from ..errors import InputError
from ..printing import quoted

_NO_LISTS: Final = (str, bytes, bytearray, memoryview, Mapping, Set)


def check_texts(texts: str | Iterable[str]) -> list[str]:
    """Return one text, or the texts of a list, array or column, as plain strings; raises `InputError`."""
    if isinstance(texts, str):
        return [_check_text(texts, "the text")]
    checked = [_check_text(text, f"text {number}") for number, text in enumerate(_iterate(texts))]
    if not checked:
        raise InputError("there is no text to annotate: the list is empty")
    return checked


def check_words(words: Any, name: str) -> tuple[str, ...]:
    """Return the words of the text of this name as plain strings, perhaps none; raises `InputError`."""
    listed = enumerate(as_list(words, name, "words"))
    return tuple(_check_text(word, f"{name}: word {place}", "; a word must be a text") for place, word in listed)


def as_list(values: Any, name: str, what: str) -> list[Any]:
    """Return values of Python's own, also those of an array or a column; raises `InputError` for no list of `what`."""
    own, dimensions = hasattr(values, "tolist"), getattr(values, "ndim", 1)  # of arrays; tables have no `tolist`
    listed = isinstance(values, Iterable) and not isinstance(values, _NO_LISTS)
    if not listed or dimensions == 0 or (dimensions > 1 and not own):
        raise InputError(f"{name} must be a list of {what}, but is {quoted(values)} ({type(values).__name__})")
    return values.tolist() if own else list(values)


def check_pairs(texts: str | Iterable[str], pairs: str | Iterable[str] | None) -> tuple[list[str], list[str] | None]:
    """Return texts and the second text of each, None where there are no pairs; raises `InputError`."""
    first = check_texts(texts)
    second = None if pairs is None else check_texts(pairs)
    if second is not None and len(second) != len(first):
        raise InputError(f"there are {len(first)} texts but {len(second)} pairs; each text needs one")
    return first, second


def _iterate(texts: Any) -> Iterable[Any]:
    """Return what texts are taken from; arrays of any library tell by `ndim` that they are a table, or one value."""
    if isinstance(texts, bytes | bytearray | memoryview):
        raise InputError(f"texts are {type(texts).__name__}, {quoted(texts)}; decode them: texts.decode()")
    if isinstance(texts, Mapping | Set) or not isinstance(texts, Iterable) or getattr(texts, "ndim", 1) != 1:
        raise InputError(
            f"texts must be a text or a list of texts, but are {quoted(texts)} ({type(texts).__name__}); give a "
            "list, such as one column of a table"
        )
    return texts


def _check_text(text: Any, name: str, remedy: str | None = None) -> str:
    if not isinstance(text, str):
        raise InputError(f"{name} is no text but {quoted(text)} ({type(text).__name__}){remedy or _remedy(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} holds half a character (a lone surrogate) at {error.start}; take it out") from error
    return str.__str__(text)  # a subclass, as in numpy's arrays, is none to tokenizers and taggers


def _remedy(text: Any) -> str:
    if isinstance(text, list | tuple):
        return '; join words that were split, " ".join(words), and give the second texts of pairs as `pairs`'
    if isinstance(text, bytes):
        return "; decode it: text.decode()"
    return "; leave it out, or put a text in its place"
