"""Finished runs of a comparison: from their records to its summary and report, while it runs and long after."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import ExperimentError
from ..files import write_whole
from ..report.render import write_report
from .folder import REPORT, RESULTS, dump, read
from .statistics import Row, RunOutcome, summarise

_COSTS: Final[tuple[str, ...]] = ("density", "word_density", "attention_flops_relative", "model_flops_relative")
# What a record holds for resuming and for statistics, and a reader of the results doesn't need.
_INNER: Final[frozenset[str]] = frozenset({"predictions", "grammar_contents"})


@dataclass(frozen=True)
class Finished:
    """A comparison on disk: the facts of results.json, dev's labels, and the records of all finished runs."""

    facts: dict[str, Any]
    labels: tuple[int, ...]
    records: tuple[dict[str, Any], ...]

    @property
    def outcomes(self) -> list[RunOutcome]:
        """What the runs predicted."""
        return outcomes_of(self.labels, self.records)


def read_finished(path: Path) -> Finished:
    """Read the finished runs of a folder, in the order in which they ended.

    Raises `ExperimentError` for a folder without any, or one that is damaged.
    """
    files = sorted((path / "runs").glob("*.json"))
    if not files or not (path / RESULTS).is_file():
        raise ExperimentError(f"{path} holds no finished run of a comparison")
    facts = read(path / RESULTS)
    records = sorted((read(file) for file in files), key=lambda record: str(record["finished_at"]))
    return Finished(facts, _labels(path, records[0]["id"], facts["task"]["labels"]), tuple(records))


def rebuild(path: Path) -> dict[str, Any]:
    """Write results and report of a folder anew from all of its finished runs, and return the results."""
    finished = read_finished(path)
    write_results(path, finished.facts, finished.labels, finished.records)
    return finished.facts


def write_results(
    path: Path, results: dict[str, Any], labels: tuple[int, ...], records: Sequence[dict[str, Any]]
) -> None:
    """Put runs and summary into `results`, and write results and report."""
    results["runs"] = [{key: value for key, value in record.items() if key not in _INNER} for record in records]
    results["summary"] = summary_of(results["config"], labels, records)
    results["complete"] = len(records) >= results["planned_runs"]
    write_whole(path / RESULTS, dump(results))
    write_report(results, path / REPORT)


def outcomes_of(labels: tuple[int, ...], records: Sequence[dict[str, Any]]) -> list[RunOutcome]:
    """Return what runs predicted, from their records."""
    return [
        RunOutcome(
            record["grammar"], record["strategy"], record["seed"], labels, tuple(record["predictions"]),
            record["control"], record["adaptation"],
        )
        for record in records
    ]  # fmt: skip


def summary_of(
    config: dict[str, Any], labels: tuple[int, ...], records: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows of a comparison: statistics, densities and costs."""
    rows = []
    for row in summarise(outcomes_of(labels, records), metric=config["metric"], margin=config["margin"]):
        members = [record for record in records if all(record[key] == getattr(row, key) for key in Row._fields)]
        rows.append({
            **vars(row),
            **{key: members[0][key] for key in _COSTS},
            "training_seconds": float(np.median([record["seconds"]["training"] for record in members])),
            "evaluation_seconds": float(np.median([record["seconds"]["evaluation"] for record in members])),
            "peak_memory_bytes": max(record["peak_memory_bytes"] for record in members),
        })  # fmt: skip
    return rows


def _labels(path: Path, run_id: str, names: list[str]) -> tuple[int, ...]:
    """Return dev's labels from the predictions of a run, which hold them by name."""
    file = path / "predictions" / f"{run_id}.csv"
    try:
        column = pd.read_csv(file, usecols=["label"], dtype=str, keep_default_na=False)["label"]
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{file} is missing or damaged: {error}") from error
    return tuple(names.index(label) for label in column)
