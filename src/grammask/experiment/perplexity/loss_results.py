"""Results of a perplexity run: from the records in its folder to perplexity.json, during the run and at its end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...files.write import dump, write_whole
from ...grammar.describe import describe_sinks
from ...report.perplexity_page import write_perplexity_page
from ..folder import KEPT, REPORT
from .loss_summary import RowLosses, compare_losses, summarise_losses
from .perplexity_control import EQUAL_CONTROLS
from .rows import Row

RESULTS: Final[str] = "perplexity.json"


def collect_rows(rows: Sequence[Row], records: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the rows that have a record of each text, as perplexity.json holds them; full is the first."""
    losses = {name: RowLosses.of(found) for name, found in records.items()}
    return [_row(row, losses, records[row.name]) for row in rows if row.name in records]


def _row(row: Row, losses: Mapping[str, RowLosses], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": row.name,
        "control": row.control,
        "of": row.of,
        "note": row.note,
        "sinks": None if row.grammar is None else describe_sinks(row.grammar),
        "pairs": sum(record["pairs"] for record in records) / sum(record["all_pairs"] for record in records),
        "cache": sum(record["kept"] for record in records) / sum(record["keys"] for record in records),
        **summarise_losses(losses[row.name]),
        "difference": None,
        "difference_by_tag": None,
        "difference_by_distance": None,
        "against": None,
        "seconds": sum(record["seconds"] for record in records),
    }
    if row.grammar is not None:
        found |= compare_losses(losses[row.name], losses["full"])
    if row.of is not None and row.of in losses:
        found["against"] = {"grammar": row.of, **compare_losses(losses[row.of], losses[row.name])}
    return found


def add_recall(folder: Path, results: Mapping[str, Any], recall: Mapping[str, Any]) -> dict[str, Any]:
    """Write perplexity.json with what was measured of recall, and return what it holds."""
    whole = {**results, "recall": recall}
    write_whole(folder / RESULTS, dump(whole), kept=KEPT)
    return whole


def write_perplexity(folder: Path, facts: Mapping[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write perplexity.json and its page, and return what the first holds."""
    used = {row["control"] for row in rows} - {None}
    results = {
        **facts,
        "rows": list(rows),
        "meanings": {name: control.description for name, control in EQUAL_CONTROLS.items() if name in used},
        "complete": len(rows) == len(facts["planned"]),
    }
    write_whole(folder / RESULTS, dump(results), kept=KEPT)
    write_perplexity_page(results, folder / REPORT, kept=KEPT)
    return results
