"""The rows of a part: each a text, or the reason why there is none."""

import json
from typing import Any, NamedTuple
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import InputError
from ...files.read import parse_json_object
from ...printing import quoted
from .corpus_parts import Part, footer_check
from .text_batches import Unreadable


class Rows(NamedTuple):
    """The rows of a part: their numbers in the file, their texts, and the columns that are kept."""

    numbers: list[int]
    texts: list[Any]
    kept: dict[str, pa.Array]


def read_part(part: Part, column: str, keep: tuple[str, ...]) -> Rows:
    """Read a part; raises `InputError` for a file that isn't the one where the part was found.

    An empty line is no row, but counts as one in the numbers.
    """
    return _read_lines(part, column, keep) if part.row_group is None else _read_table(part, column, keep)


def _read_table(part: Part, column: str, keep: tuple[str, ...]) -> Rows:
    found, row = [], 0
    with pq.ParquetFile(part.file) as file:
        _check(part, footer_check(part.file))
        wanted = {"row_groups": [part.row_group], "columns": [column, *keep]}
        for batch in file.iter_batches(batch_size=max(part.rows, 1), **wanted):
            begin, end = max(part.start - row, 0), min(part.stop - row, batch.num_rows)
            if begin < end:
                found.append(batch.slice(begin, end - begin))
            row += batch.num_rows
            if row >= part.stop:
                break
    table = pa.Table.from_batches(found).combine_chunks()
    numbers = list(range(part.row, part.row + table.num_rows))
    return Rows(numbers, _texts(table[column]), {name: table[name].combine_chunks() for name in keep})


def _check(part: Part, check: int) -> None:
    """Raise `InputError` where a file changed, or where this machine has another one under its name."""
    if check != part.check:
        raise InputError(
            f"{part.file} doesn't hold what it held when the command began; leave it as it is while the command runs, "
            "and let all machines read the same one"
        )


def _texts(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; nobody checks that a file's strings are UTF-8."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_floating(kind):  # NaN is how pandas spells a text that isn't there
        return list(column.to_pylist())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view"):
        # Never as Python's objects: there are none for some, such as dates far away.
        wrong = Unreadable(f"the text is no string but of type {kind}")
        return [wrong if there else None for there in column.is_valid().to_pylist()]
    values: list[bytes | None] = column.cast(kind).cast(pa.large_binary()).to_pylist()
    return [None if value is None else _decode(value) for value in values]


def _read_lines(part: Part, column: str, keep: tuple[str, ...]) -> Rows:
    with open(part.file, "rb") as file:
        file.seek(part.start)
        content = file.read(part.stop - part.start)
    _check(part, crc32(content))
    lines = content.split(b"\n")
    numbered = [(part.row + number, line) for number, line in enumerate(lines) if line.strip()]
    objects = [_parse(line, first=number == 0) for number, line in numbered]
    texts = [row if isinstance(row, Unreadable) else _value(row, column) for row in objects]
    kept = {name: pa.array([_spelled(row, name) for row in objects], pa.string()) for name in keep}
    return Rows([number for number, _ in numbered], texts, kept)


def _parse(line: bytes, *, first: bool) -> dict[str, Any] | Unreadable:
    text = _decode(line)
    if isinstance(text, Unreadable):
        return text
    try:
        return parse_json_object(text.removeprefix("\ufeff") if first else text, origin="the line")
    except InputError as error:
        return Unreadable(str(error))


def _decode(value: bytes) -> str | Unreadable:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        return Unreadable(f"holds bytes that are not UTF-8 (0x{value[error.start]:02x} at byte {error.start})")


def _value(row: dict[str, Any], column: str) -> Any:
    return row[column] if column in row else Unreadable(f"there is no column {quoted(column)}")


def _spelled(row: dict[str, Any] | Unreadable, name: str) -> str | None:
    """Return a kept value: a string as it is, anything else as JSON, for lines promise no types."""
    value = None if isinstance(row, Unreadable) else row.get(name)
    spelled = value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return None if spelled is None else spelled.encode("utf-8", "backslashreplace").decode()
