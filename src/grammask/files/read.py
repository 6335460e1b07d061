"""The one boundary to files that others wrote: whatever is in them, they are read, or one error says why not.

Damaged files, other encodings, JSON nested ten thousand deep, integers of five thousand digits, a folder where a file
should be: Python has an exception for each, and callers should meet one of ours.
"""

import errno
import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, Final

from ..errors import GrammaskError, InputError
from ..printing import reason

LARGEST_FILE: Final[int] = 1 << 30  # bytes; what is larger is no text, grammar or record
# Keys such as a.a.a.a: what tomllib does with them takes the square of their parts.
_DEEP_KEY: Final = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""", re.ASCII)


def expand_home(name: str) -> Path:
    """Return a path with `~` as the user's home; that of somebody who isn't here stays as it is, as in a shell."""
    return Path(os.path.expanduser(name))


def read_bytes(
    path: Path, *, error: type[GrammaskError] = InputError, most: int = LARGEST_FILE, named: bool = True
) -> bytes:
    """Read a file of at most `most` bytes; raises `error` for one that cannot be read or is larger.

    What the user `named` may be a pipe or a device. What was found in a folder must not: its end may never come.
    """
    try:
        if not named:
            _refuse_streams(path)
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as why:  # ValueError: a NUL in the name
        raise error(f"{path} cannot be read: {getattr(why, 'strerror', None) or why}") from why
    if len(content) > most:
        raise error(f"{path} is larger than {most:,} bytes; split it")
    return content


def read_text(
    path: Path, *, error: type[GrammaskError] = InputError, most: int = LARGEST_FILE, named: bool = True
) -> str:
    """Read a UTF-8 file as `read_bytes` does, without its byte order mark; raises `error`."""
    content = read_bytes(path, error=error, most=most, named=named)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as why:
        line = content.count(b"\n", 0, why.start) + 1
        raise error(
            f"{path}: line {line} holds bytes that are not UTF-8 (0x{content[why.start]:02x} at byte {why.start}); "
            "convert the file to UTF-8, for example with iconv -f latin1 -t utf-8"
        ) from why


def parse_json(text: str | bytes, *, origin: object, error: type[GrammaskError] = InputError) -> Any:
    """Parse JSON; raises `error`, naming `origin`, whatever is wrong with it."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as why:
        raise error(f"{origin}: not valid JSON: {reason(why)}") from why


def parse_json_object(text: str | bytes, *, origin: object, error: type[GrammaskError] = InputError) -> dict[str, Any]:
    """Parse JSON that must be an object; raises `error`, naming `origin`, for anything else."""
    data = parse_json(text, origin=origin, error=error)
    if not isinstance(data, dict):
        raise error(f"{origin}: must hold a JSON object, but holds {type(data).__name__}")
    return data


def parse_toml(text: str, *, origin: object, error: type[GrammaskError] = InputError) -> dict[str, Any]:
    """Parse TOML; raises `error`, naming `origin`, whatever is wrong with it."""
    if _DEEP_KEY.search(text):
        raise error(f"{origin}: not valid TOML here: a key of more than 50 parts")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as why:
        raise error(f"{origin}: not valid TOML: {reason(why)}") from why


def _refuse_streams(path: Path) -> None:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a folder has an error of its own
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, and no regular file")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found
