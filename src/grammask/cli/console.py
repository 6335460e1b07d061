"""The terminal as commands write to it: every string is data, whoever wrote it."""

from typing import Any

from rich.console import Console
from rich.text import Text

from ..printing import printable


class PlainConsole(Console):
    r"""A console without markup, emoji codes and highlights, on which nothing but a line break moves the cursor.

    It holds for what is printed and for the cells, titles and captions of tables. What others wrote and must not
    break a line goes through `printable` before.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return `text` as it is, its control characters made visible."""
        return super().render_str("\n".join(printable(line) for line in text.split("\n")), **options)

    def say(self, text: str) -> None:
        """Print what others may have written on one line, however long."""
        self.print(printable(text), soft_wrap=True)
