"""A part becomes a file: whole or not at all, under a name that hangs on nothing but the part."""

import io
import json
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import ExperimentError
from ...files.write import write_whole
from ...printing import reason
from .corpus_parts import Part
from .read_part import Rows, read_part
from .text_batches import PROBLEM, TextBatches

BAD_ROWS: Final[str] = "_bad_rows"  # what begins with an underscore is no data to those that read the folder
_COUNTS: Final[bytes] = b"grammask"
_TYPES: Final[dict[str, Any]] = {
    "string": pa.string(), "float": pa.float32(), "array<int>": pa.list_(pa.int32()),
    "array<string>": pa.list_(pa.string()), "array<float>": pa.list_(pa.float32()),
}  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What came of a part: how many rows are answered and how many are bad; `failed` says why it could not be made."""

    name: str
    rows: int = 0
    bad: int = 0
    failed: str = ""


@dataclass(frozen=True)
class PartWriter:
    """Makes the file of a part in the folder `out`: calling it twice is the same as calling it once."""

    make: TextBatches
    out: str
    keep: tuple[str, ...] = ()

    def __call__(self, part: Part) -> Done:
        """Read a part, and write its bad rows and then its answers; what is there is left as it is."""
        if (done := find_done(Path(self.out), part.name)) is not None:
            return done
        rows = read_part(part, self.make.column, self.keep)
        added = self.make.add_columns(rows.texts)
        good = [place for place, problem in enumerate(added[PROBLEM]) if not problem]
        done = Done(part.name, len(good), len(rows.texts) - len(good))
        self._write_bad(part, rows, added[PROBLEM])
        table = self._table(rows, added, good).replace_schema_metadata({_COUNTS: json.dumps(asdict(done))})
        file = io.BytesIO()
        pq.write_table(table, file, compression="zstd")
        write_whole(path_of(Path(self.out), part.name), file.getvalue())
        return done

    def attempt(self, part: Part) -> Done:
        """Make a part as calling does; what goes wrong with its file is its own trouble, and told."""
        try:
            return self(part)
        except (OSError, pa.ArrowException) as error:
            return Done(part.name, failed=f"{part.file}: {reason(error)}")

    def _write_bad(self, part: Part, rows: Rows, problems: list[str]) -> None:
        """Write the bad rows of a part, before what says that the part is done."""
        told = [
            json.dumps({"file": part.file, "row": number, "reason": problem})
            for number, problem in zip(rows.numbers, problems, strict=True)
            if problem
        ]
        if told:
            write_whole(Path(self.out, BAD_ROWS, f"{part.name}.jsonl"), "\n".join(told) + "\n")

    def _table(self, rows: Rows, added: dict[str, list[Any]], good: list[int]) -> pa.Table:
        taken = {"row": pa.array([rows.numbers[place] for place in good], pa.int64())}
        taken[self.make.column] = pa.array([rows.texts[place] for place in good], pa.string())
        for name, column in rows.kept.items():
            taken[name] = _rows_of(column, good)
        for name, kind in self.make.columns.items():
            taken[name] = pa.array([added[name][place] for place in good], _TYPES[kind])
        return pa.table(taken)


def path_of(out: Path, name: str) -> Path:
    """Return the file of a part."""
    return out / f"{name}.parquet"


def find_done(out: Path, name: str) -> Done | None:
    """Return what came of a part, None where its file isn't there; raises `ExperimentError` for another file."""
    path = path_of(out, name)
    if not path.is_file():
        return None
    try:
        done = Done(**json.loads((pq.read_schema(path).metadata or {})[_COUNTS]))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ExperimentError(
            f"{path} is damaged, or was not made by this command: {reason(error)}; delete it and call again"
        ) from error
    return done


def _rows_of(column: pa.Array, places: list[int]) -> pa.Array:
    """Return some rows of a column, by runs of neighbours: Arrow's `take` does not know every type, as string_view."""
    runs = [[*run] for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0])]
    return pa.concat_arrays([column.slice(0, 0), *(column.slice(run[0][1], len(run)) for run in runs)])
