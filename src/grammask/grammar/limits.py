"""How large a grammar may be: what is larger is refused when it is read, instead of by time or memory.

Each limit is far beyond what a grammar of use needs; docs/grammar.md states them.
"""

from typing import Final

from ..errors import GrammarError
from ..printing import quoted

MAX_BYTES: Final[int] = 4 << 20  # of a grammar file
MAX_RULES: Final[int] = 10_000
MAX_REACHES: Final[int] = 2_500  # different ones; all that words 32 apart can have are fewer
MAX_LAYERS: Final[int] = 256
MAX_HEADS: Final[int] = 256
MAX_TABLES: Final[int] = 500_000  # tag x tag, of 2 kB each
MAX_SINK_TOKENS: Final[int] = 10_000
LONGEST_TEXT: Final[int] = 10_000  # characters of a description or source
LONGEST_NAME_OF_RULE: Final[int] = 1_000


def check_text(value: object, *, key: str, most: int) -> None:
    """Raise `GrammarError`, naming `key`, unless `value` is text of at most `most` characters that can be written."""
    if not isinstance(value, str):
        raise GrammarError(f"key {key!r} must be text, but is {quoted(value)}")
    if len(value) > most:
        raise GrammarError(f"key {key!r} has {len(value):,} characters, but may have {most:,}; shorten it")
    try:
        value.encode()
    except UnicodeEncodeError as why:
        raise GrammarError(f"key {key!r} holds half a character, {quoted(value[why.start])}; take it out") from why


def check_count(value: object, *, key: str, most: int) -> None:
    """Raise `GrammarError`, naming `key`, unless `value` is a whole number from 0 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise GrammarError(f"key {key!r} must be a whole number, but is {quoted(value)}")
    if not 0 <= value <= most:
        raise GrammarError(f"key {key!r} must be 0 to {most:,}, but is {quoted(value)}")


def check_size(number: int, *, most: int, what: str) -> None:
    """Raise `GrammarError` for a grammar that has more than `most` of `what`."""
    if number > most:
        raise GrammarError(f"a grammar has at most {most:,} {what}, but this one has {number:,}; make it smaller")
