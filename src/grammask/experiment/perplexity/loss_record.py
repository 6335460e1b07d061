"""The record of one row on one text: sums of losses by stratum, pairs, keys kept, seconds; and where it is."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ...errors import ExperimentError
from ...files.names import check_file_name
from ...files.write import write_whole
from ..folder import KEPT
from ..recall.recall_results import RecallFacts
from ..records import Amount, Count, Schema, Sha256, read_checked
from .strata import STRATA

_Losses = Annotated[list[list[float]], Field(min_length=1)]
_Counts = Annotated[list[list[Count]], Field(min_length=1)]


class LossRecord(Schema):
    """One row on one text; `losses` and `tokens` are sums by tag and distance (tags, distances)."""

    format: Literal[1]
    row: str
    text: Count
    row_sha256: Sha256
    text_sha256: Sha256
    losses: _Losses
    tokens: _Counts
    pairs: Count
    all_pairs: Count
    kept: Count
    keys: Count
    seconds: Amount
    finished_at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")]
    environment: dict[str, Any]

    @model_validator(mode="after")
    def _has_all_strata(self) -> "LossRecord":
        for name in ("losses", "tokens"):
            rows = getattr(self, name)
            if len(rows) > STRATA[0] or any(len(row) != STRATA[1] for row in rows):
                raise ValueError(f"{name} are no table of tags and distances")
        if len(self.losses) != len(self.tokens):
            raise ValueError("losses and tokens differ in size")
        if self.pairs > self.all_pairs or self.kept > self.keys:
            raise ValueError("it counts more than there are")
        return self


class _Sizes(Schema):
    length: Count
    skip: Count
    near: Count


class _Text(Schema):
    name: str
    tokens: Count
    skipped: Count
    counted: Count
    whole: bool
    sha256: Sha256


class _RowFacts(Schema):
    name: str
    control: str | None
    of: str | None
    note: str
    sinks: str | None

    @model_validator(mode="after")
    def _is_a_file_name(self) -> "_RowFacts":
        try:
            check_file_name(self.name, what="row", error=ExperimentError)
        except ExperimentError as error:
            raise ValueError(str(error)) from error
        return self


class LossFacts(Schema):
    """What perplexity.json holds besides the figures of its rows."""

    format: Literal[1]
    config: _Sizes
    model: dict[str, Any]
    tagger: dict[str, Any]
    texts: Annotated[list[_Text], Field(min_length=1)]
    future: dict[str, str]
    environment: dict[str, Any]
    planned: list[str]
    rows: list[_RowFacts]
    recall: RecallFacts | None = None


def record_path(folder: Path, row: str, number: int) -> Path:
    """Return where the record of a row on a text is, whose number counts from 0."""
    return folder / "runs" / f"{row}-{number + 1:05d}.json"


def read_record_of(folder: Path, row: str, row_sha256: str, number: int, text_sha256: str) -> dict[str, Any] | None:
    """Return a record, None where there is none yet; raises `ExperimentError` for one that is damaged or another's."""
    record = _read(folder, row, number, text_sha256)
    if record is not None and record["row_sha256"] != row_sha256:
        raise ExperimentError(
            f"{record_path(folder, row, number)} belongs to another grammar or control of that name; name another "
            "folder with --out"
        )
    return record


def read_finished(folder: Path, row: str, texts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the records of a row on all of a run's texts, None where one is missing.

    Raises `ExperimentError` for one that is damaged or another's.
    """
    found = [_read(folder, row, number, text["sha256"]) for number, text in enumerate(texts)]
    records = [record for record in found if record is not None]
    return records if len(records) == len(found) else None


def _read(folder: Path, row: str, number: int, text_sha256: str) -> dict[str, Any] | None:
    path = record_path(folder, row, number)
    if not path.is_file():
        return None
    record = read_checked(path, LossRecord)
    if (record["row"], record["text"], record["text_sha256"]) != (row, number, text_sha256):
        raise ExperimentError(f"{path} is the record of another row or text; delete it, and it is made again")
    return record


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write a record as a whole."""
    path = record_path(folder, record["row"], record["text"])
    write_whole(path, json.dumps(record) + "\n", kept=KEPT)


def as_arrays(record: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses and tokens of a record: (tags, distances); tags that came later have none."""
    losses, tokens = np.zeros(STRATA), np.zeros(STRATA)
    losses[: len(record["losses"])] = record["losses"]
    tokens[: len(record["tokens"])] = record["tokens"]
    return losses, tokens
