"""The texts that a command reads: those of --text, or the dev texts of --task."""

from pathlib import Path

from ..data.load_task import load_task
from ..files.write import read_lines


def texts_of(file: Path | None, task: str, most: int) -> tuple[list[str], str]:
    """Return at most so many texts of a file, one a line, or else of a task's dev split, and what they are called.

    Raises `InputError` and `TaskError`.
    """
    if file is not None:
        return read_lines(file)[:most], file.name
    loaded = load_task(task)
    return list(loaded.dev.texts[:most]), f"the task {loaded.name}"
