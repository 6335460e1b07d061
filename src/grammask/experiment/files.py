"""Local data: TSV, CSV, JSONL and Parquet files, read strictly. A cell that is no text or no label is an error."""

from pathlib import Path
from typing import Any, Final

import pandas as pd

from ..errors import TaskError

SUFFIXES: Final[tuple[str, ...]] = (".tsv", ".csv", ".jsonl", ".parquet")


def read_table(path: Path, *, header: bool) -> pd.DataFrame:
    """Read one file; cells of text files stay the strings that they are. Raises `TaskError` naming file and line."""
    if path.suffix not in SUFFIXES:
        raise TaskError(f"{path}: files end in {', '.join(SUFFIXES)}, not in {path.suffix or 'nothing'!r}")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            check_utf8(path)
            table = _read_text(path, header=header)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        if isinstance(error, TaskError):
            raise
        raise TaskError(f"{path}: cannot be read: {str(error).strip().splitlines()[0]}") from error
    if table.empty:
        raise TaskError(f"{path}: the file holds no rows")
    return table.rename(columns=str)


def check_utf8(path: Path) -> None:
    """Raise `TaskError` naming the first byte that is not UTF-8, or an empty file."""
    content = path.read_bytes()
    if not content.strip():
        raise TaskError(f"{path}: the file is empty")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TaskError(
            f"{path}: line {line} holds bytes that are not UTF-8 (0x{content[error.start]:02x} at byte {error.start}); "
            "convert the file, for example with iconv -f latin1 -t utf-8"
        ) from error


def _read_text(path: Path, *, header: bool) -> pd.DataFrame:
    if path.suffix == ".jsonl":
        table = pd.read_json(path, lines=True, dtype=False, convert_dates=False, encoding="utf-8")
        return pd.DataFrame(table)
    options: dict[str, Any] = {
        "dtype": str, "keep_default_na": False, "header": 0 if header else None, "encoding": "utf-8-sig",
        "index_col": False, "on_bad_lines": "error", "skip_blank_lines": False,
    }  # fmt: skip
    if path.suffix == ".tsv":
        options |= {"sep": "\t", "quoting": 3}  # tab-separated files of this field quote nothing
    return pd.DataFrame(pd.read_csv(path, **options))


def split_files(folder: Path) -> tuple[Path, Path]:
    """Return the train and the dev file of a folder; raises `TaskError` where one is missing or there are several."""
    return _one(folder, ("train",)), _one(folder, ("dev", "validation", "valid"))


def _one(folder: Path, stems: tuple[str, ...]) -> Path:
    found = sorted(path for path in folder.iterdir() if path.stem in stems and path.suffix in SUFFIXES)
    if len(found) == 1:
        return found[0]
    if found:
        raise TaskError(f"{folder} holds several {stems[0]} files: {', '.join(path.name for path in found)}; keep one")
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise TaskError(
        f"{folder} holds no {stems[0]} file; it needs {' or '.join(stems)} with one of the endings {', '.join(SUFFIXES)}, but "
        f"holds {there}"
    )
