"""What results hold of recall: rows from all records in a run's folder, during the run and any time later."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from ...errors import ExperimentError
from ..records import Amount, Count, Schema, Share, read_checked
from .recall_settings import PEERS
from .summary import summarise_recall

RECALL: Final[str] = "recall"  # the folder of the records


class _Settings(Schema):
    distances: list[Count]


class _Text(Schema):
    name: str
    tokens: Count
    questions: Count


class RecallFacts(Schema):
    """What perplexity.json holds of recall besides its rows; the first ones have no `planned`."""

    settings: _Settings
    reference: str | None
    texts: Annotated[list[_Text], Field(min_length=1)]
    planned: list[str] | None = None


class _Answer(Schema):
    kind: str
    target: Count
    distance: Count
    exact: bool
    loss: Amount


class _Continuation(Schema):
    share: Share
    tokens: Count
    loss: Amount
    name_tokens: Count
    name_loss: Amount | None


class RecallRecord(Schema):
    """One method on one text."""

    text: str
    name: str
    moment: str
    share: Share
    answers: Annotated[list[_Answer], Field(min_length=1)]
    continuation: _Continuation | None = None
    seconds: Amount


def collect_recall(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a measurement with a row for each method that has a record, planned ones in their order.

    Raises `ExperimentError` for a damaged record.
    """
    records = [read_checked(path, RecallRecord) for path in sorted((folder / RECALL).glob("*.json"))]
    place = {method: number for number, method in enumerate(facts.get("planned") or ())}
    records.sort(key=lambda record: place.get(_method(record), len(place)))  # texts stay in their order
    there = {(_method(record), record["text"]) for record in records}
    names = {record["name"] for record in records}
    return {
        **facts,
        "rows": summarise_recall(records),
        "meanings": {name: meaning for name, meaning in PEERS.items() if name in names},
        "complete": all((method, text["name"]) in there for method in place for text in facts["texts"]),
    }


def check_recall(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `ExperimentError` where a folder holds recall at other distances, or at the cache of another grammar."""
    if before["settings"]["distances"] != now["settings"]["distances"]:
        found = ",".join(map(str, before["settings"]["distances"]))
        raise ExperimentError(f"{folder} holds recall at --distances {found}; take these, or another folder with --out")
    if before["reference"] != now["reference"]:
        raise ExperimentError(
            f"{folder} holds recall at the share of the cache that {before['reference']!r} keeps, now it would be that "
            f"of {now['reference']!r}; name the former first in --grammars, or another folder with --out"
        )


def _method(record: Mapping[str, Any]) -> str:
    return f"{record['name']}.{record['moment']}"
