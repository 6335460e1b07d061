"""Foreign text inside Markdown: it stays text, whatever it holds."""

import re
from typing import Any, Final

from ..printing import printable

# What starts markup, HTML, an entity or the next cell of a table.
_MARKUP: Final = re.compile(r"[\\`*_\[\]<>&|~$#!@:]|(?<=www)\.", re.IGNORECASE)


class Markdown(str):
    """Our own text, whose Markdown is intended."""

    __slots__ = ()


def plain(value: Any) -> Any:
    """Return text as Markdown that shows it on one line; `Markdown` and other values as they are."""
    if not isinstance(value, str) or isinstance(value, Markdown):
        return value
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", printable(value))


def code(text: str) -> Markdown:
    """Return text as code within a line or a cell: between more backticks than it holds, a pipe escaped."""
    shown = printable(text).replace("|", r"\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    padding = " " if "`" in shown else ""
    return Markdown(f"{fence}{padding}{shown}{padding}{fence}")
