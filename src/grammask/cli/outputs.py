"""What a command writes: a page, its numbers, its figures; nothing is written over without being told to."""

from pathlib import Path
from typing import Any

from ..errors import ExperimentError
from .console import PlainConsole
from .places import check_file, check_folder


class Outputs:
    """The page at `page`, with `data` its JSON beside it, and a folder of `figures`.

    Raises `ExperimentError` where one of them is there already, but for `force`, and for a page that isn't .html.
    """

    def __init__(self, page: Path, *, data: bool, figures: Path | None, force: bool) -> None:
        if page.suffix != ".html":
            raise ExperimentError(f"--out {page} must end in .html")
        check_file(page, "--out")
        self._page = page
        self._data = page.with_suffix(".json") if data else None
        if self._data is not None:
            check_file(self._data, "--data")
        if figures is not None:
            check_folder(figures, "--figures")
        self._all = [path for path in (page, self._data, figures) if path is not None]
        if len({path.absolute() for path in self._all}) < len(self._all):
            raise ExperimentError(f"--figures {figures} is the page or its numbers, too; name another folder")
        if there := [str(path) for path in self._all if path.exists() and not force]:
            raise ExperimentError(f"{', '.join(there)} exists; name another, or write over it with --force")

    def write(self, page: str, data: dict[str, Any]) -> None:
        """Write page and numbers."""
        from ..files.write import dump, write_whole

        write_whole(self._page, page, kept="nothing was written over")
        if self._data is not None:
            write_whole(self._data, dump(data), kept="the page is written")

    def say(self, console: PlainConsole) -> None:
        """Print where everything is."""
        for path in self._all:
            console.say(str(path))
