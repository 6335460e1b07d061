"""What a command writes, and where: what cannot be written is told before any work is done.

Nothing is overwritten without being told to.
"""

import os
from pathlib import Path
from typing import Any

from ..errors import ExperimentError
from ..printing import quoted
from .console import PlainConsole


class Outputs:
    """The page at `page`, with `data` its JSON next to it, and a folder of `figures`.

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
            raise ExperimentError(f"--figures {figures} is also the page or its JSON; name another folder")
        if there := [str(path) for path in self._all if path.exists() and not force]:
            raise ExperimentError(f"{', '.join(there)} exists; name another, or overwrite it with --force")

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


def check_file(path: Path, option: str) -> None:
    """Raise `ExperimentError` where no file can be written at `path`."""
    _check(path, option)
    if path.is_dir():
        raise ExperimentError(f"{option} {path} is a folder; name a file")


def check_folder(path: Path, option: str, *, empty: bool = False) -> None:
    """Raise `ExperimentError` where no files can be written to the folder, and where it must be `empty` and isn't."""
    _check(path / "file", option)
    if empty and path.is_dir() and any(path.iterdir()):
        raise ExperimentError(f"{option} {path} isn't empty; name another folder, or overwrite it with --force")


def _check(path: Path, option: str) -> None:
    try:
        place = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ExperimentError(f"{option} {quoted(str(path))} is not a valid path: {error}") from error
    if any(len(os.fsencode(part)) > 255 for part in path.parts) or "\0" in str(path):
        raise ExperimentError(
            f"{option} {quoted(str(path))} is not a valid path; take a shorter name without control characters"
        )
    if not place.is_dir():
        raise ExperimentError(f"{option} {path} cannot be created: {place} is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ExperimentError(f"{option} {path} cannot be created: you may not write to {place}; name another place")
