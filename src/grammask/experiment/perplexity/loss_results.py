"""Results of a perplexity run: from the records in its folder to perplexity.json, during the run and any time later."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...errors import ExperimentError
from ...files.lock import locked
from ...files.write import dump, write_whole
from ...report.perplexity_page import write_perplexity_page
from ..folder import KEPT, REPORT
from ..recall.recall_results import collect_recall
from ..records import read_checked
from .loss_record import LossFacts, read_finished
from .loss_summary import RowLosses, compare_losses, summarise_losses
from .perplexity_control import EQUAL_CONTROLS
from .rows import FULL

RESULTS: Final[str] = "perplexity.json"
# What results hold of a row besides its figures.
ROW_FACTS: Final[tuple[str, ...]] = ("name", "control", "of", "note", "sinks")
_OF_ROWS: Final[tuple[str, ...]] = ("rows", "meanings", "complete")  # what is made of the records
_Facts = Mapping[str, Any]
_REMEDY: Final[str] = "it is damaged: delete it, and go on with --resume"


def read_facts(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Return the facts of a run from its perplexity.json, and those of its rows; None where no row was finished yet.

    Raises `ExperimentError` for a damaged one.
    """
    if not (folder / RESULTS).is_file():
        return None
    results = read_checked(folder / RESULTS, LossFacts, remedy=_REMEDY)
    rows = [{key: row[key] for key in ROW_FACTS} for row in results["rows"]]
    return {key: value for key, value in results.items() if key not in _OF_ROWS}, rows


def rebuild_perplexity(folder: Path) -> dict[str, Any]:
    """Write perplexity.json and the page of a folder again, from its records, and return what the first holds.

    Raises `ExperimentError` for a folder without a finished row, or one that is damaged.
    """
    if not (folder / RESULTS).is_file():  # another program's folder isn't even locked
        raise ExperimentError(f"{folder} holds no finished row of a perplexity run")
    with locked(folder):
        facts, rows = read_facts(folder) or ({}, [])
        return write_perplexity(folder, facts, rows)


def write_perplexity(folder: Path, facts: _Facts, rows: Sequence[_Facts]) -> dict[str, Any]:
    """Write perplexity.json and its page from all records of these rows, and return what the first holds."""
    results = collect_results(folder, facts, rows)
    write_whole(folder / RESULTS, dump(results), kept=KEPT)
    write_perplexity_page(results, folder / REPORT, kept=KEPT)
    return results


def collect_results(folder: Path, facts: _Facts, rows: Sequence[_Facts]) -> dict[str, Any]:
    """Add to the facts of a run the rows that have a record of each text, and what there is of recall."""
    records = {row["name"]: read_finished(folder, row["name"], facts["texts"]) for row in rows}
    finished = {name: found for name, found in records.items() if found}
    if FULL not in finished:
        raise ExperimentError(f"{folder} lacks records of full attention, which all rows are compared with")
    collected = _collect_rows(rows, finished)
    used = {row["control"] for row in collected} - {None}
    results = {
        **facts,
        "rows": collected,
        "meanings": {name: control.description for name, control in EQUAL_CONTROLS.items() if name in used},
        "complete": finished.keys() >= {*facts["planned"]},
    }
    return results | ({"recall": collect_recall(folder, facts["recall"])} if "recall" in facts else {})


def _collect_rows(rows: Sequence[_Facts], records: Mapping[str, Sequence[_Facts]]) -> list[dict[str, Any]]:
    losses = {name: RowLosses.of(found) for name, found in records.items()}
    return [_row(row, losses, records[row["name"]]) for row in rows if row["name"] in records]


def _row(row: _Facts, losses: Mapping[str, RowLosses], records: Sequence[_Facts]) -> dict[str, Any]:
    name, of = row["name"], row["of"]
    found: dict[str, Any] = {
        **row,
        "pairs": sum(record["pairs"] for record in records) / sum(record["all_pairs"] for record in records),
        "cache": sum(record["kept"] for record in records) / sum(record["keys"] for record in records),
        **summarise_losses(losses[name]),
        "difference": None,
        "difference_by_tag": None,
        "difference_by_distance": None,
        "against": None,
        "seconds": sum(record["seconds"] for record in records),
    }
    if name != FULL:
        found |= compare_losses(losses[name], losses[FULL])
    if of is not None and of in losses:
        found["against"] = {"grammar": of, **compare_losses(losses[of], losses[name])}
    return found
