"""Finished runs of a comparison: from their records to its summary and report, while it runs and long after."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import ExperimentError
from ..files import dump, write_whole
from ..report.compare_page import write_report
from .folder import REPORT, RESULTS, read
from .splits import read_labels_line
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
                read_labels_line(record["predictions"]),
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
    """Read the finished runs of a folder, in the order in which they ended.

    Raises `ExperimentError` for a folder without any, or one that is damaged.
    """
    files = sorted((path / "runs").glob("*.json"))
    if not files or not (path / RESULTS).is_file():
        raise ExperimentError(f"{path} holds no finished run of a comparison")
    facts = read(path / RESULTS)
    records = sorted((read(file) for file in files), key=lambda record: str(record["finished_at"]))
    return Finished(facts, tuple(records))


def rebuild(path: Path) -> Finished:
    """Write results and report of a folder anew from all of its finished runs, and return them."""
    finished = read_finished(path)
    write_results(path, finished)
    return finished


def write_results(path: Path, finished: Finished) -> None:
    """Put runs and summary into the facts of a comparison, and write results and report."""
    results, records = finished.facts, finished.records
    # Predictions are for resuming and for statistics; a reader of the results doesn't need them.
    results["runs"] = [{key: value for key, value in record.items() if key != "predictions"} for record in records]
    results["summary"] = finished.summary
    results["complete"] = len(records) >= results["planned_runs"]
    write_whole(path / RESULTS, dump(results))
    write_report(results, path / REPORT)
