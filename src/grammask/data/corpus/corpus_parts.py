"""The parts of a corpus: some rows of one file each. Which they are hangs on the files and on `part_rows` alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from os import SEEK_END
from pathlib import Path
from typing import Final
from zlib import crc32

import pyarrow.parquet as pq

from ...errors import InputError
from ...printing import quoted, reason

_PARQUET: Final[str] = ".parquet"
_LINES: Final[tuple[str, ...]] = (".jsonl", ".ndjson")
_MOST_BYTES: Final[int] = 1 << 26  # of lines in a part: they are in memory together


@dataclass(frozen=True)
class Part:
    """Rows `row` to `row + rows` of a file.

    They are rows `start` to `stop` of a row group, or lie between these bytes of a file of lines. `name` is that of the
    file within the corpus with the part's number: the part's output is called so. `check` is the CRC-32 of what was
    read to find the part, by which another file of the same name is known: its lines, or the footer of a table.
    """

    name: str
    file: str
    row: int
    rows: int
    start: int
    stop: int
    check: int
    row_group: int | None = None


def find_files(corpus: Path) -> dict[str, Path]:
    """Return the files of a corpus, one or a folder's, by their names within it; raises `InputError` for none.

    As everywhere in this field, what begins with a dot or an underscore is no data.
    """
    suffixes = (_PARQUET, *_LINES)
    if not corpus.exists():
        raise InputError(f"--corpus {quoted(str(corpus))}: there is no such file or folder")
    if not corpus.is_dir():
        if not corpus.is_file() or corpus.suffix not in suffixes:
            raise InputError(f"--corpus {quoted(str(corpus))} must be a folder, or a file of {', '.join(suffixes)}")
        return {corpus.name: corpus.absolute()}
    found = {str(path.relative_to(corpus)): path.absolute() for path in sorted(corpus.rglob("*"))}
    data = {name: path for name, path in found.items() if path.suffix in suffixes and path.is_file() and _seen(name)}
    if not data:
        raise InputError(f"--corpus {quoted(str(corpus))} holds no file of {', '.join(suffixes)}")
    return data


def _seen(name: str) -> bool:
    return not any(part.startswith((".", "_")) for part in Path(name).parts)


def find_parts(name: str, file: Path, part_rows: int, columns: tuple[str, ...]) -> Iterator[Part]:
    """Return the parts of a file in order; raises `InputError` for one that cannot be read or lacks a column."""
    try:
        found = (
            _row_groups(name, file, part_rows, columns) if file.suffix == _PARQUET else _lines(name, file, part_rows)
        )
        yield from found
    except InputError:
        raise
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise InputError(f"{file}: cannot be read: {reason(error)}; take it out of the corpus") from error


def footer_check(file: str | Path) -> int:
    """Return the CRC-32 of a Parquet file's footer, which says where its columns lie, and mostly what they hold."""
    with open(file, "rb") as opened:
        opened.seek(-8, SEEK_END)
        opened.seek(-8 - int.from_bytes(opened.read(4), "little"), SEEK_END)
        return crc32(opened.read())


def _row_groups(name: str, file: Path, part_rows: int, columns: tuple[str, ...]) -> Iterator[Part]:
    numbers, row = count(), 0
    with pq.ParquetFile(file) as opened:
        there = opened.schema_arrow.names
        if missing := [column for column in columns if column not in there]:
            raise InputError(f"{file}: has no column {quoted(missing[0])}, but {', '.join(map(quoted, there[:20]))}")
        if doubled := [column for column in columns if there.count(column) > 1]:
            raise InputError(f"{file}: has {there.count(doubled[0])} columns {quoted(doubled[0])}; rename the others")
        sizes = [opened.metadata.row_group(group).num_rows for group in range(opened.num_row_groups)]
    check = footer_check(file)
    for group, size in enumerate(sizes):
        for start in range(0, size, part_rows):
            stop = min(start + part_rows, size)
            yield Part(_name(name, next(numbers)), str(file), row + start, stop - start, start, stop, check, group)
        row += size


def _lines(name: str, file: Path, part_rows: int) -> Iterator[Part]:
    numbers, row, rows, start, stop, check = count(), 0, 0, 0, 0, 0
    with open(file, "rb") as lines:
        for line in lines:
            rows, stop, check = rows + 1, stop + len(line), crc32(line, check)
            if rows == part_rows or stop - start >= _MOST_BYTES:
                yield Part(_name(name, next(numbers)), str(file), row, rows, start, stop, check)
                row, rows, start, check = row + rows, 0, stop, 0
    if rows:
        yield Part(_name(name, next(numbers)), str(file), row, rows, start, stop, check)


def _name(name: str, number: int) -> str:
    return f"{name}-{number:05d}"
