"""Files of texts, and writing files that are there as a whole or not at all."""

import errno
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from ..errors import ExperimentError, InputError
from .csv_text import csv_text
from .read import read_text

TEMPORARY: Final[str] = ".grammask-*.tmp"  # what a process that was killed while it wrote leaves behind
_REMEDIES: Final[dict[int, str]] = {
    errno.ENOSPC: "free some space, or name a folder on another disk",
    errno.EDQUOT: "free some space, or name a folder on another disk",
    errno.EACCES: "name a folder that you may write to",
    errno.EPERM: "name a folder that you may write to",
    errno.EROFS: "name a folder that you may write to",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.ENOTDIR: "name a path whose parents are folders",
    errno.EEXIST: "name a path whose parents are folders",
    errno.EISDIR: "name a file, or move the folder away",
}


def write_whole(path: Path, content: str | bytes, *, kept: str = "") -> None:
    """Write a file through a temporary one beside it; raises `ExperimentError`, with a remedy, when it cannot be.

    A new file gets the permissions that the umask leaves, one that is written over keeps its own. A symbolic link is
    replaced itself: what it leads to belongs to somebody else. `kept` tells in an error what isn't lost.
    """
    # Half of a surrogate pair, as in names that aren't UTF-8, is written as JSON escapes it.
    whole = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, whole)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise unwritable(path, error, kept=kept) from error


def unwritable(path: Path, error: OSError | ValueError, *, kept: str = "") -> ExperimentError:
    """Say that a file cannot be written, why, what helps, and what is kept."""
    number = getattr(error, "errno", None)
    parts = (getattr(error, "strerror", None) or str(error), _REMEDIES.get(number or 0), kept)
    return ExperimentError(f"{path} cannot be written: {'; '.join(part for part in parts if part)}")


def _replace(path: Path, content: bytes) -> None:
    mode = _mode(path)
    # Its name doesn't depend on the file's, so that it is never too long.
    temporary = path.parent / TEMPORARY.replace("*", token_hex(8))
    try:
        # A new file is opened with all permissions that the umask leaves, one that may be private with none for others.
        permissions = 0o666 if mode is None else 0o600
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, permissions)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int | None:
    """Return the permissions of an ordinary file that is there, None where there is none."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return None
    return stat.S_IMODE(there.st_mode) if stat.S_ISREG(there.st_mode) else None


def dump(data: Any) -> str:
    """Return `data` as readable JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as CSV, their keys as its header."""
    import pandas as pd  # only where tables are written

    write_whole(path, csv_text(pd.DataFrame(list(rows))))


def read_lines(path: Path) -> list[str]:
    """Read a UTF-8 file, a text a line, without empty lines; raises `InputError`."""
    texts = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not texts:
        raise InputError(f"{path}: the file holds no text")
    return texts
