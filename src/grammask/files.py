"""Writing files that are there as a whole or not at all."""

import os
import tempfile
from pathlib import Path

from .errors import ExperimentError


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
