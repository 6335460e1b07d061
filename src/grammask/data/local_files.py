"""Local data: TSV, CSV, JSON and Parquet files, read strictly. A row that doesn't fit is an error, never a guess."""

import csv
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow.parquet as pq

from ..errors import TaskError
from ..files.read import parse_json, read_bytes, read_text
from ..printing import reason

SUFFIXES: Final[tuple[str, ...]] = (".tsv", ".csv", ".jsonl", ".json", ".parquet")
LARGEST_PARQUET: Final[int] = 10_000_000  # rows; a small file can hold any number of equal rows


def read_table(path: Path, *, header: bool) -> pd.DataFrame:
    """Read one file; its rows are numbered from 0, and the cells of TSV and CSV stay the strings that they are.

    Without a header the columns are called 0, 1, and so on. A .json file holds a list of objects or one object a line.
    Raises `TaskError` naming the file, and the line where there is one.
    """
    if path.suffix not in SUFFIXES:
        raise TaskError(f"{path}: files end in {', '.join(SUFFIXES)}, not in {path.suffix or 'nothing'!r}")
    try:
        if path.suffix == ".parquet":
            table = _read_parquet(path)
        elif path.suffix in (".tsv", ".csv"):
            table = _read_delimited(path, header=header)
        else:
            table = _read_json(path)
    except TaskError:
        raise
    except Exception as error:  # pandas and pyarrow raise many kinds for damaged files
        raise TaskError(f"{path}: cannot be read: {reason(error)}") from error
    table = table.rename(columns=str)
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise TaskError(f"{path}: two columns are called {twice!r}; rename one")
    if table.empty:
        raise TaskError(f"{path}: the file holds no rows")
    return table


def find_split_files(folder: Path) -> tuple[Path, Path]:
    """Return the train and the dev file of a folder; raises `TaskError` where one is missing or there are several."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise TaskError(f"{folder}: cannot be read: {error.strerror}") from error
    return _find_split_file(folder, paths, ("train",)), _find_split_file(folder, paths, ("dev", "validation", "valid"))


def _find_split_file(folder: Path, paths: list[Path], stems: tuple[str, ...]) -> Path:
    found = [path for path in paths if path.stem in stems and path.suffix in SUFFIXES]
    if len(found) == 1:
        return found[0]
    if found:
        raise TaskError(f"{folder} holds several {stems[0]} files: {', '.join(path.name for path in found)}; keep one")
    there = ", ".join(path.name for path in paths[:8]) or "nothing"
    never = "" if stems == ("train",) else "; a test file is not used as dev"
    raise TaskError(
        f"{folder} holds no {stems[0]} file; it needs {' or '.join(stems)} with one of the endings "
        f"{', '.join(SUFFIXES)}, but holds {there}{never}"
    )


def _read_parquet(path: Path) -> pd.DataFrame:
    file = pq.ParquetFile(BytesIO(read_bytes(path, error=TaskError, named=False)))
    if (rows := file.metadata.num_rows) > LARGEST_PARQUET:
        raise TaskError(f"{path}: holds {rows:,} rows, more than {LARGEST_PARQUET:,}; take a part of it")
    # An index that pandas wrote is read as a column: it may be the text.
    return file.read().to_pandas(ignore_metadata=True)


def _decode(path: Path) -> str:
    text = read_text(path, error=TaskError, named=False)
    if not text.strip():
        raise TaskError(f"{path}: the file is empty")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TaskError(f"{path}: line {line} holds a NUL character; the file is damaged, or not text")
    return text


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
            if not "".join(row[:1]).strip() and len(row) < 2:
                raise TaskError(f"{path}: line {reader.line_num} is empty; remove it")
            if rows and len(row) != len(rows[0]):
                raise TaskError(
                    f"{path}: line {reader.line_num} has {len(row)} columns, but the first line has {len(rows[0])}"
                )
            rows.append(row)
    except csv.Error as error:
        raise TaskError(f"{path}: line {reader.line_num}: {error}") from error
    if not header:
        return pd.DataFrame(rows, dtype=object)
    return pd.DataFrame(rows[1:], columns=rows[0], dtype=object)


def _read_json(path: Path) -> pd.DataFrame:
    text = _decode(path)
    if path.suffix == ".json" and text.lstrip().startswith("["):
        objects = list(enumerate(parse_json(text, origin=path, error=TaskError)))
        unit = "entry"
    else:
        unit = "line"
        lines = enumerate(text.split("\n"), start=1)
        objects = [
            (number, parse_json(line, origin=f"{path}: line {number}", error=TaskError))
            for number, line in lines
            if line.strip()
        ]
    for number, entry in objects:
        if not isinstance(entry, dict):
            raise TaskError(f'{path}: {unit} {number} is not a JSON object such as {{"text": ..., "label": ...}}')
    return pd.DataFrame([entry for _, entry in objects], dtype=object)
