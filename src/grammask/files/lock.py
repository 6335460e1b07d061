"""A folder that one process works in: locked through the system, which lets go of it however the process ends.

The lock is on an empty file, `.grammask-lock`, that goes when the work ends. After a kill it stays, and locks nothing.
On a network drive it holds between machines where the drive passes locks on; a drive that has none is an error.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from ..errors import ExperimentError
from .write import TEMPORARY, unwritable

LOCK: Final[str] = ".grammask-lock"
_SWEPT: Final[tuple[str, ...]] = ("", "runs", "predictions", "grammars")  # where an experiment writes


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the folder `path`, made if it isn't there, while the block runs; leave no trace where nothing was written.

    What a killed process left half written is swept. Raises `ExperimentError` where another process holds the folder,
    or it cannot be held.
    """
    made = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = _hold(path)
    except (OSError, ValueError) as error:
        _remove_empty(made)
        raise unwritable(path / LOCK, error) from error
    try:
        _sweep(path)
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; what stays locks nothing
            (path / LOCK).unlink()
        file.close()
        _remove_empty(made)


def is_unused(path: Path) -> bool:
    """Tell whether a folder holds nothing but what a process leaves that was killed before it wrote anything."""
    return all((entry.name == LOCK or entry.match(TEMPORARY)) and not entry.is_dir() for entry in path.iterdir())


def _sweep(path: Path) -> None:
    """Remove half written files of this folder's own; what lies deeper belongs to others, who may be writing it."""
    for place in _SWEPT:
        for left in (path / place).glob(TEMPORARY):
            with suppress(OSError):  # a folder of that name, or what others have written, is left alone
                left.unlink()


def _hold(path: Path) -> IO[bytes]:
    while True:
        file = open(path / LOCK, "ab", opener=_open)  # noqa: SIM115 - it stays open as long as the lock is held
        try:
            _lock(file)
        except BlockingIOError:
            file.close()
            raise ExperimentError(
                f"{path} is in use by another process; wait until it has ended, or name another folder with --out"
            ) from None
        except BaseException:
            file.close()
            raise
        with suppress(FileNotFoundError):  # the one before may have removed the file that we opened: then once more
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path / LOCK)):
                return file
        file.close()


def _open(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)  # a link would make a file elsewhere


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_empty(made: list[Path]) -> None:
    """Remove folders that were made for nothing, the deepest first."""
    with suppress(OSError):
        for folder in made:
            folder.rmdir()
