"""Finished runs of a comparison: from their records to its summary and report, while it runs and long after."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..data.task import read_labels_line
from ..errors import ExperimentError
from ..files.lock import locked
from ..files.write import dump, write_whole
from ..report.compare_page import write_report
from .adaptations import ADAPTATIONS
from .controls.registry import describe
from .folder import KEPT, REPORT, RESULTS
from .records import Facts, check_answers, read_checked, read_record
from .statistics import Row, RunOutcome, summarise

_COSTS: Final[tuple[str, ...]] = ("density", "word_density", "attention_flops_relative", "model_flops_relative")


@dataclass(frozen=True)
class Finished:
    """A comparison on disk: the facts of results.json, and the records of all finished runs."""

    facts: dict[str, Any]
    records: tuple[dict[str, Any], ...]

    @cached_property
    def outcomes(self) -> list[RunOutcome]:
        """What the runs predicted."""
        labels = read_labels_line(self.facts["answers"])
        return [
            RunOutcome(
                record["grammar"], record["strategy"], record["seed"], labels,
                read_labels_line(record["predictions"]), len(self.facts["task"]["labels"]),
                record["control"], record["adaptation"],
            )
            for record in self.records
        ]  # fmt: skip

    @cached_property
    def summary(self) -> list[dict[str, Any]]:
        """The rows of the comparison: statistics, densities and costs. Their bootstrap takes seconds."""
        config, rows = self.facts["config"], []
        for row in summarise(self.outcomes, metric=config["metric"], margin=config["margin"]):
            members = [record for record in self.records if all(record[k] == getattr(row, k) for k in Row._fields)]
            rows.append({
                **vars(row),
                **{key: members[0][key] for key in _COSTS},
                "training_seconds": float(np.median([record["seconds"]["training"] for record in members])),
                "evaluation_seconds": float(np.median([record["seconds"]["evaluation"] for record in members])),
                "peak_memory_bytes": max(record["peak_memory_bytes"] for record in members),
            })  # fmt: skip
        return rows


def read_finished(path: Path) -> Finished:
    """Read all finished runs of a folder: those that were planned in their order, then others as they ended.

    Raises `ExperimentError` for a folder without any, or one that is damaged.
    """
    _check_begun(path)
    return gather(path, read_checked(path / RESULTS, Facts))


def _check_begun(path: Path) -> None:
    if not (path / RESULTS).is_file():
        raise ExperimentError(f"{path} holds no finished run of a comparison")


def gather(path: Path, facts: dict[str, Any]) -> Finished:
    """Put all records of a folder to the facts of its comparison, each checked against its schema and the answers."""
    files = sorted((path / "runs").glob("*.json"))
    if not files:
        raise ExperimentError(f"{path} holds no finished run of a comparison")
    answers, classes = read_labels_line(facts["answers"]), len(facts["task"]["labels"])
    records = [read_record(file) for file in files]
    for file, record in zip(files, records, strict=True):
        check_answers(file, read_labels_line(record["predictions"]), answers, classes, record["accuracy"])
    place = {run: number for number, run in enumerate(facts.get("planned") or ())}
    records.sort(key=lambda record: (place.get(record["id"], len(place)), record["finished_at"]))
    return Finished(facts, tuple(records))


def rebuild(paths: Sequence[Path]) -> tuple[Finished, ...]:
    """Write results and report of folders anew from all of their finished runs, and return them.

    All are read before anything is written.
    """
    with ExitStack() as stack:
        for path in paths:
            _check_begun(path)  # what is another's isn't even locked
            stack.enter_context(locked(path))
        found = tuple(read_finished(path) for path in paths)
        for path, finished in zip(paths, found, strict=True):
            write_results(path, finished)
    return found


def write_results(path: Path, finished: Finished) -> None:
    """Put runs and summary into the facts of a comparison, and write results and report."""
    results, records = finished.facts, finished.records
    # Predictions are for resuming and for statistics; a reader of the results doesn't need them.
    results["runs"] = [{key: value for key, value in record.items() if key != "predictions"} for record in records]
    results["summary"] = finished.summary
    results["meanings"] = _meanings(finished.summary)
    results["finished_runs"] = _finished_of_planned(results, {record["id"] for record in records})
    results["complete"] = results["finished_runs"] == results["planned_runs"]
    write_whole(path / RESULTS, dump(results), kept=KEPT)
    write_report(results, path / REPORT, kept=KEPT)


def _meanings(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Say in words what the controls and adaptations of these rows do, for pages that know neither."""
    return {
        **{row["control"]: describe(row["control"]) for row in rows if row["control"]},
        **{row["adaptation"]: ADAPTATIONS[row["adaptation"]].description for row in rows if row["adaptation"]},
    }


def _finished_of_planned(results: dict[str, Any], there: set[str]) -> int:
    """Count the runs that were asked for and are there; the first results only said how many were asked for."""
    planned = results.get("planned")
    return min(len(there), results["planned_runs"]) if planned is None else len(there & set(planned))
