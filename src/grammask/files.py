"""Files of texts, and writing files that are there as a whole or not at all."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import ExperimentError, InputError
from .reading import read_text


def write_whole(path: Path, text: str, *, advice: str = "what was finished is kept, go on with --resume") -> None:
    """Write a file through a temporary one beside it; raises `ExperimentError`, with `advice`, when it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ExperimentError(f"{path} cannot be written: {error.strerror}; {advice}") from error


def dump(data: Any) -> str:
    """Return `data` as readable JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as CSV, their keys as its header."""
    import pandas as pd  # only where tables are written

    write_whole(path, str(pd.DataFrame(list(rows)).to_csv(index=False, lineterminator="\n")))


def read_lines(path: Path) -> list[str]:
    """Read a UTF-8 file, a text a line, without empty lines; raises `InputError`."""
    texts = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not texts:
        raise InputError(f"{path}: the file holds no text")
    return texts
