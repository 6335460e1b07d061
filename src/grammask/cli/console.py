"""The terminal as commands write to it: every string is data, whoever wrote it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import length_hint
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.text import Text

from ..printing import printable

Waiting = TypeVar("Waiting")
# What the libraries read when they are loaded: no word of forks, load reports and bars of their own. What transformers
# logs as an error it raises too, and our one line says it. Ray starts by itself where a thread still asks for one that
# was left: not here.
_QUIET: Final[dict[str, str]] = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "critical",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "RAY_ENABLE_AUTO_CONNECT": "0",
}


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

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Tell that libraries are loaded in this block, and keep off the terminal what they would say themselves."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        with self.status("loading libraries"):
            yield

    def progress(self, waiting: Iterable[Waiting], description: str, length: int | None = None) -> Iterable[Waiting]:
        """Return what is waiting, with a bar that moves as it is taken; one thing alone has no bar."""
        total = length_hint(waiting) if length is None else length
        return waiting if total == 1 else track(waiting, escape(description), total=total, console=self)
