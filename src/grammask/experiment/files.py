"""Local data: TSV, CSV, JSON and Parquet files, read strictly. A row that doesn't fit is an error, never a guess."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pandas as pd

from ..errors import TaskError

SUFFIXES: Final[tuple[str, ...]] = (".tsv", ".csv", ".jsonl", ".json", ".parquet")


def read_table(path: Path, *, header: bool) -> pd.DataFrame:
    """Read one file; its rows are numbered from 0, and the cells of TSV and CSV stay the strings that they are.

    Without a header the columns are called 0, 1, and so on. A .json file holds a list of objects or one object a line.
    Raises `TaskError` naming the file, and the line where there is one.
    """
    if path.suffix not in SUFFIXES:
        raise TaskError(f"{path}: files end in {', '.join(SUFFIXES)}, not in {path.suffix or 'nothing'!r}")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).reset_index(drop=True)
        elif path.suffix in (".tsv", ".csv"):
            table = _read_delimited(path, header=header)
        else:
            table = _read_json(path)
    except TaskError:
        raise
    except (OSError, ValueError) as error:
        raise TaskError(f"{path}: cannot be read: {first_line(error)}") from error
    if table.empty:
        raise TaskError(f"{path}: the file holds no rows")
    return table.rename(columns=str)


def split_files(folder: Path) -> tuple[Path, Path]:
    """Return the train and the dev file of a folder; raises `TaskError` where one is missing or there are several."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise TaskError(f"{folder}: cannot be read: {error.strerror}") from error
    return _one(folder, paths, ("train",)), _one(folder, paths, ("dev", "validation", "valid"))


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, which may be empty or go on for pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _one(folder: Path, paths: list[Path], stems: tuple[str, ...]) -> Path:
    found = [path for path in paths if path.stem in stems and path.suffix in SUFFIXES]
    if len(found) == 1:
        return found[0]
    if found:
        raise TaskError(f"{folder} holds several {stems[0]} files: {', '.join(path.name for path in found)}; keep one")
    there = ", ".join(path.name for path in paths[:8]) or "nothing"
    never = "" if stems == ("train",) else "; a test file is not taken for dev"
    raise TaskError(
        f"{folder} holds no {stems[0]} file; it needs {' or '.join(stems)} with one of the endings "
        f"{', '.join(SUFFIXES)}, but holds {there}{never}"
    )


def _decode(path: Path) -> str:
    content = path.read_bytes()
    if not content.strip():
        raise TaskError(f"{path}: the file is empty")
    try:
        return content.decode("utf-8").removeprefix("\ufeff")  # the byte order mark of spreadsheet programs
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TaskError(
            f"{path}: line {line} holds bytes that are not UTF-8 (0x{content[error.start]:02x} at byte {error.start}); "
            "convert the file to UTF-8, for example with iconv -f latin1 -t utf-8"
        ) from error


def _read_delimited(path: Path, *, header: bool) -> pd.DataFrame:
    # pandas' own reader fills short rows with "" and cuts long ones, which would quietly change texts and labels.
    options: dict[str, Any] = {"strict": True}
    if path.suffix == ".tsv":
        options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}  # tab-separated files of this field quote nothing
    csv.field_size_limit(2**31 - 1)  # documents are longer than the default of 131,072 characters
    reader = csv.reader(StringIO(_decode(path).rstrip("\r\n"), newline=""), **options)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if rows and len(row) != len(rows[0]):
                raise TaskError(
                    f"{path}: line {reader.line_num} has {len(row)} columns, but the first line has {len(rows[0])}"
                )
            rows.append(row)
    except csv.Error as error:
        raise TaskError(f"{path}: line {reader.line_num}: {error}") from error
    if not header:
        return pd.DataFrame(rows, dtype=object)
    names = rows[0]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TaskError(f"{path}: two columns are called {twice[0]!r}; rename one")
    return pd.DataFrame(rows[1:], columns=names, dtype=object)


def _read_json(path: Path) -> pd.DataFrame:
    text = _decode(path)
    if path.suffix == ".json" and text.lstrip().startswith("["):
        objects = list(enumerate(json.loads(text)))
        unit = "entry"
    else:
        objects = []
        unit = "line"
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    objects.append((number, json.loads(line)))
                except json.JSONDecodeError as error:
                    raise TaskError(f"{path}: line {number} is not JSON: {error.msg}") from error
    for number, entry in objects:
        if not isinstance(entry, dict):
            raise TaskError(f'{path}: {unit} {number} is no JSON object such as {{"text": ..., "label": ...}}')
    return pd.DataFrame([entry for _, entry in objects], dtype=object)
