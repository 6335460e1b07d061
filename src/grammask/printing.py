"""Text that others wrote, made safe to print: labels, file names, tokens and names of rules are data, not commands.

A terminal obeys control characters, and shows text in another order where a direction is overridden.
"""

import reprlib
import unicodedata
from typing import Final

# Controls, formats (directions, zero-width characters), lone surrogates, line and paragraph separators.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 100


def printable(text: str) -> str:
    r"""Return `text` on one line, with each character that isn't seen as an escape: ESC becomes \x1b."""
    if text.isprintable():  # most is, and then holds none of these
        return text
    return "".join(_seen(character) for character in text)


def _seen(character: str) -> str:
    if unicodedata.category(character) not in _UNSEEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def quoted(value: object) -> str:
    """Return a value as errors quote it: short, however long, deep or odd it is."""
    try:
        return printable(_REPR.repr(value))
    except (ValueError, RecursionError):  # Python spells no integer of more than 4,300 digits
        return f"<{type(value).__name__} too large to show>"
