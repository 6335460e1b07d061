"""Finished runs of a comparison: from their records to its results and report, during the runs and any time later."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import ExperimentError
from ..files.lock import locked
from ..files.write import dump, write_whole
from ..report.compare_page import write_report
from .adaptations import ADAPTATIONS, FRESH
from .controls.registry import find_control
from .folder import KEPT, REPORT, RESULTS
from .label_line import read_label_line
from .plan_runs import row_key_of
from .records import Facts, check_answers, read_checked, read_record
from .statistics import RunOutcome, summarise

_COSTS: Final[tuple[str, ...]] = ("density", "word_density", "attention_flops_relative", "model_flops_relative")


@dataclass(frozen=True)
class ComparisonResults:
    """A comparison on disk: the facts of results.json, and the records of all finished runs."""

    facts: dict[str, Any]
    records: tuple[dict[str, Any], ...]

    @cached_property
    def outcomes(self) -> list[RunOutcome]:
        """What the runs predicted."""
        labels = read_label_line(self.facts["answers"])
        return [
            RunOutcome(
                record["grammar"], record["strategy"], record["seed"], labels,
                read_label_line(record["predictions"]), len(self.facts["task"]["labels"]),
                record["control"], record["adaptation"], record.get("attention"),
            )
            for record in self.records
        ]  # fmt: skip

    @cached_property
    def summary(self) -> list[dict[str, Any]]:
        """The rows of the comparison: statistics, densities and costs. Their bootstrap takes seconds."""
        config, rows = self.facts["config"], []
        for row in summarise(self.outcomes, metric=config["metric"], margin=config["margin"]):
            members = [record for record in self.records if row_key_of(record) == row_key_of(vars(row))]
            rows.append({
                **vars(row),
                **{key: members[0][key] for key in _COSTS},
                "training_seconds": float(np.median([record["seconds"]["training"] for record in members])),
                "evaluation_seconds": float(np.median([record["seconds"]["evaluation"] for record in members])),
                "peak_memory_bytes": max(record["peak_memory_bytes"] for record in members),
            })  # fmt: skip
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return what results.json holds: the facts, every run, and the summary."""
        finished = _count_finished(self.facts, {record["id"] for record in self.records})
        return {
            **self.facts,
            # Predictions are for resuming and for statistics; a reader of the results doesn't need them.
            "runs": [{key: value for key, value in record.items() if key != "predictions"} for record in self.records],
            "summary": self.summary,
            "meanings": _meanings(self.summary),
            "finished_runs": finished,
            "complete": finished == self.facts["planned_runs"],
        }


def read_results(path: Path) -> ComparisonResults:
    """Read all finished runs of a folder: those that were planned in their order, then others as they ended.

    Raises `ExperimentError` for a folder without any, or one that is damaged.
    """
    _check_begun(path)
    return collect_results(path, read_checked(path / RESULTS, Facts))


def _check_begun(path: Path) -> None:
    if not (path / RESULTS).is_file():
        raise ExperimentError(f"{path} holds no finished run of a comparison")


def collect_results(path: Path, facts: dict[str, Any]) -> ComparisonResults:
    """Add all records of a folder to the facts of its comparison, each checked against its schema and the answers."""
    files = sorted((path / "runs").glob("*.json"))
    if not files:
        raise ExperimentError(f"{path} holds no finished run of a comparison")
    answers, classes = read_label_line(facts["answers"]), len(facts["task"]["labels"])
    records = [read_record(file) for file in files]
    for file, record in zip(files, records, strict=True):
        check_answers(file, read_label_line(record["predictions"]), answers, classes, record["accuracy"])
    place = {run: number for number, run in enumerate(facts.get("planned") or ())}
    records.sort(key=lambda record: (place.get(record["id"], len(place)), record["finished_at"]))
    return ComparisonResults(facts, tuple(records))


def rebuild_results(paths: Sequence[Path]) -> tuple[ComparisonResults, ...]:
    """Write results and report of folders again, from all of their finished runs, and return the results.

    All are read before anything is written.
    """
    with ExitStack() as stack:
        for path in paths:
            _check_begun(path)  # another program's folder isn't even locked
            stack.enter_context(locked(path))
        comparisons = tuple(read_results(path) for path in paths)
        for path, results in zip(paths, comparisons, strict=True):
            write_results(path, results)
    return comparisons


def write_results(path: Path, results: ComparisonResults) -> None:
    """Write results.json and the report of a comparison."""
    content = results.to_dict()
    write_whole(path / RESULTS, dump(content), kept=KEPT)
    write_report(content, path / REPORT, kept=KEPT)


def _meanings(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Say in words what the controls and adaptations of these rows do, for pages that know neither."""
    return {
        **{row["control"]: find_control(row["control"]).description for row in rows if row["control"]},
        **{row["adaptation"]: ADAPTATIONS[row["adaptation"]].description for row in rows if row["adaptation"]},
        **{row["attention"]: FRESH for row in rows if row["attention"]},
    }


def _count_finished(facts: dict[str, Any], there: set[str]) -> int:
    """Count the planned runs that are there; the first results.json only said how many were planned."""
    planned = facts.get("planned")
    return min(len(there), facts["planned_runs"]) if planned is None else len(there & set(planned))
