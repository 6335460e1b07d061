"""Where a command is to write: what cannot be written is told before any work is done."""

import os
from pathlib import Path

from ..errors import ExperimentError
from ..printing import quoted


def check_file(path: Path, option: str) -> None:
    """Raise `ExperimentError` where no file can be written at `path`."""
    _check(path, option)
    if path.is_dir():
        raise ExperimentError(f"{option} {path} is a folder; name a file")


def check_folder(path: Path, option: str, *, empty: bool = False) -> None:
    """Raise `ExperimentError` where no files can be written to the folder, and where it must be `empty` and isn't."""
    _check(path / "file", option)
    if empty and path.is_dir() and any(path.iterdir()):
        raise ExperimentError(f"{option} {path} isn't empty; name another folder, or write over it with --force")


def _check(path: Path, option: str) -> None:
    try:
        place = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ExperimentError(f"{option} {quoted(str(path))} is no path: {error}") from error
    if any(len(os.fsencode(part)) > 255 for part in path.parts) or "\0" in str(path):
        raise ExperimentError(
            f"{option} {quoted(str(path))} is no path; take a shorter name, of characters that are seen"
        )
    if not place.is_dir():
        raise ExperimentError(f"{option} {path} cannot be made: {place} is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ExperimentError(f"{option} {path} cannot be made: {place} is not yours to write to; name another place")
