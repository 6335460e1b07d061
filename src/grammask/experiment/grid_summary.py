"""Comparisons of several tasks side by side: the difference of each row to full, on every task and on their mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import ExperimentError
from ..resampling import RESAMPLES, Floats, interval
from .config import ADDED
from .plan_runs import RowKey, row_key_of
from .results import ComparisonResults, read_results
from .statistics import RunOutcome, difference, group_by_row, paired_scores

_KEPT: Final[tuple[str, ...]] = (
    *RowKey._fields, "seeds", "accuracy", "accuracy_interval", "matthews", "difference",
    "difference_interval", "p_value", "p_holm", "p_inferior", "density", "word_density",
)  # fmt: skip
_ALIKE: Final[float] = 0.1
_SETTINGS: Final[tuple[str, ...]] = (
    "task", "train_size", "epochs", "batch_size", "learning_rate", "max_length", "metric", "margin", "model", "tagger",
)  # fmt: skip


def read_task_folders(folders: Sequence[Path]) -> dict[str, ComparisonResults]:
    """Read finished comparisons by the names of their folders, which are those of their tasks.

    Raises `ExperimentError` for a folder without finished runs, or two of one task.
    """
    finished = {folder.name: read_results(folder) for folder in folders}
    if len(finished) < len(folders):
        raise ExperimentError(
            f"two folders share a name: {', '.join(map(str, folders))}; each folder must have the name of its task"
        )
    return finished


def summarise_grid(finished: Mapping[str, ComparisonResults]) -> dict[str, Any]:
    """Return what pages report of finished comparisons, given by the names of their tasks; small enough for git."""
    rows = {name: group_by_row(found.outcomes) for name, found in finished.items()}
    metrics = {name: found.facts["config"]["metric"] for name, found in finished.items()}
    known = list(dict.fromkeys(row for of_task in rows.values() for row in of_task))
    hard = [row for row in known if row.strategy == "hard" and row.control is None]
    full = [row for row in known if row.strategy == "full"]
    means = [_mean(rows, metrics, row, other) for row in known if row not in full for other in full]
    controls = [
        _mean(rows, metrics, row, other)
        for row in hard
        for other in known
        if other.control is not None and other == row._replace(control=other.control)
    ]
    others = [
        _mean(rows, metrics, row, other)
        for number, row in enumerate(hard)
        for other in hard[number + 1 :]
        if row._replace(grammar=other.grammar) == other and _are_equally_dense(finished, row, other)
    ]
    return {
        "format": 1,
        "tasks": [_task(name, found) for name, found in finished.items()],
        "means": [mean for mean in means if mean is not None],
        "against_controls": [mean for mean in controls if mean is not None],
        "against_others": [mean for mean in others if mean is not None],
    }


def _are_equally_dense(finished: Mapping[str, ComparisonResults], one: RowKey, other: RowKey) -> bool:
    """Tell whether two rows' mean word densities, over tasks that have both, differ by less than a tenth."""
    densities = [
        [
            next((record["word_density"] for record in found.records if row_key_of(record) == row), None)
            for row in (one, other)
        ]
        for found in finished.values()
    ]
    both = np.array([pair for pair in densities if None not in pair], dtype=np.float64)
    if not len(both):
        return False
    first, second = both.mean(0)
    return bool(abs(first - second) < _ALIKE * max(first, second))


def _task(name: str, finished: ComparisonResults) -> dict[str, Any]:
    facts = finished.facts
    return {
        "name": name,
        **{key: facts["task"][key] for key in ("labels", "train_rows", "dev_rows", "sha256")},
        **{key: facts["config"][key] for key in _SETTINGS},
        **{key: facts["config"][key] for key in ADDED if facts["config"].get(key, ADDED[key]) != ADDED[key]},
        "model_sha256": facts["model"]["sha256"],
        "environments": _distinct([record["environment"] for record in finished.records]),
        "rows": [{key: row[key] for key in _KEPT} for row in finished.summary],
    }


def _distinct(environments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [environment for number, environment in enumerate(environments) if environment not in environments[:number]]


def _mean(
    rows: Mapping[str, Mapping[RowKey, dict[int, RunOutcome]]], metrics: Mapping[str, Any], one: RowKey, other: RowKey
) -> dict[str, Any] | None:
    """Return the mean over tasks of the difference of two rows, paired by seed, with its bootstrap interval.

    Only tasks that have both rows count; their names are told. None when there are none.
    """
    values: list[float] = []
    draws: Floats = np.zeros(RESAMPLES)
    tasks, seeds = [], []
    for number, (name, of_task) in enumerate(rows.items()):
        scores = paired_scores(of_task.get(one, {}), of_task.get(other, {}), metrics[name])
        if scores is None:
            continue
        value, distribution = difference(*scores, seed=number)  # texts of different tasks are drawn independently
        values.append(value)
        draws = draws + distribution
        tasks.append(name)
        seeds.append(len(scores[0].by_run))
    if not values:
        return None
    return {
        **one._asdict(),
        "against": other._asdict(),
        "tasks": tasks,
        "seeds": min(seeds),
        "difference": float(np.mean(values)),
        "interval": list(interval(draws / len(values))),
    }
