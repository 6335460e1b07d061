"""Text that others wrote, made safe to print: labels, file names, tokens and names of rules are data, not commands.

A terminal obeys control characters, and shows text in another order where a direction is overridden.
"""

import re
import reprlib
import unicodedata
from collections.abc import Iterator
from typing import Final

# Controls, formats (directions, zero-width characters), lone surrogates, line and paragraph separators.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# What no page or SVG may hold (XML 1.0), and what turns the direction of the text around it.
_UNWRITABLE: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_LONGEST: Final[int] = 200  # characters of a value that is quoted
_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 100


def printable(text: str) -> str:
    r"""Return `text` on one line, with each character that isn't seen as an escape: ESC becomes \x1b."""
    if text.isprintable():  # most is, and then holds none of these
        return text
    return "".join(_seen(character) for character in text)


def writable(text: str) -> str:
    """Return `text` with what a page or an SVG file cannot hold as escapes; joiners and line breaks stay."""
    return _UNWRITABLE.sub(lambda found: _escaped(found[0]), text)


def _seen(character: str) -> str:
    if unicodedata.category(character) not in _UNSEEN:
        return character
    return _escaped(character)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def quoted(value: object) -> str:
    """Return a value as errors quote it: short, however long, deep or odd it is."""
    try:
        text = printable(_REPR.repr(value))
    except (ValueError, RecursionError):  # Python spells no integer of more than 4,300 digits
        return f"<{type(value).__name__} too large to show>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def reason(error: BaseException) -> str:
    """Return what an exception of others says, short and on one line; its kind where that says little or nothing."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    said = str(error)
    if "integer string conversion" in said:
        return "it holds a whole number of more than 4,300 digits"
    said = printable(" ".join(said.split())[:_LONGEST])
    return f"{type(error).__name__} {said}".strip() if isinstance(error, KeyError) or not said else said


def made_of(error: BaseException | None) -> Iterator[BaseException]:
    """Go from an error to those that it was made of, each once: one raised from what wraps it makes a circle.

    Ray keeps what a worker raised as `cause`.
    """
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        kept = getattr(error, "cause", None)
        error = kept if isinstance(kept, BaseException) else error.__cause__ or error.__context__
