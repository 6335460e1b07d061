"""Compare runs that were made again with those of before.

    python scripts/compare_again.py OLD NEW --tasks A,B --out FILE

OLD and NEW hold a folder for each task, as `grammask compare --grid` writes them. Rows that both have are compared over
the seeds that both have, text by text. The full attention of OLD is what both are held against. Means are over all
`--tasks`: those that NEW lacks count as they were.
"""

import argparse
from pathlib import Path
from typing import Any, Final

import numpy as np

from grammask.experiment.grid_summary import read_task_folders
from grammask.experiment.plan_runs import RowKey
from grammask.experiment.results import ComparisonResults
from grammask.experiment.statistics import RunOutcome, difference, group_by_row, paired_scores
from grammask.files.write import dump, write_whole
from grammask.report.page import points
from grammask.resampling import Floats, Metric, interval

FIGURES: Final[tuple[str, ...]] = ("old_to_full", "new_to_full", "moved")
Rows = dict[RowKey, dict[int, RunOutcome]]


def main() -> None:
    """Compare all tasks of NEW, write the record, and print it as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    names = options.tasks.split(",")
    old = read_task_folders([options.old / name for name in names])
    new = read_task_folders([options.new / name for name in names if (options.new / name).is_dir()])
    record = {"tasks": names, "again": list(new), "rows": compare(old, new)}
    write_whole(options.out, dump(record))
    for row in record["rows"]:
        print(line(row))  # noqa: T201


def compare(old: dict[str, ComparisonResults], new: dict[str, ComparisonResults]) -> list[dict[str, Any]]:
    """Return what moved in each row of `new`, on each of its tasks and, last, as a mean over those of `old`."""
    before, after = ({name: group_by_row(found.outcomes) for name, found in tasks.items()} for tasks in (old, new))
    rows = []
    for key in dict.fromkeys(key for of_task in after.values() for key in of_task):
        parts = {
            name: _moved(of_task, after.get(name, of_task), key, old[name].facts["config"]["metric"], seed=number)
            for number, (name, of_task) in enumerate(before.items())
        }
        rows += [_row(key, name, parts[name]) for name in new]
        means = {name: _mean([part[name] for part in parts.values()]) for name in FIGURES}
        rows.append(_row(key, "mean", means))
    return rows


def _moved(before: Rows, after: Rows, key: RowKey, metric: Metric, *, seed: int) -> dict[str, tuple[float, Floats]]:
    """Return the differences of a row on one task, and their bootstrap distributions on the same texts."""
    full = next(of_row for row, of_row in before.items() if row.strategy == "full")
    old, new = before.get(key, {}), after.get(key, {})
    found = {}
    for name, one, other in zip(FIGURES, (old, new, new), (full, full, old), strict=True):
        scores = paired_scores(one, other, metric)
        if scores is None:
            raise SystemExit(f"{key}: some task has no seed of it in both, or none of full")
        found[name] = difference(*scores, seed=seed)
    return found


def _mean(parts: list[tuple[float, Floats]]) -> tuple[float, Floats]:
    return float(np.mean([value for value, _ in parts])), np.mean([draws for _, draws in parts], 0)


def _row(key: RowKey, task: str, figures: dict[str, tuple[float, Floats]]) -> dict[str, Any]:
    values = {name: {"value": value, "interval": list(interval(draws))} for name, (value, draws) in figures.items()}
    return {**key._asdict(), "task": task, **values}


def line(row: dict[str, Any]) -> str:
    """Return a row of a page's table, in points."""
    cells = []
    for name in FIGURES:
        low, high = row[name]["interval"]
        cells.append(f"{points(row[name]['value'])} [{points(low)}, {points(high)}]")
    named = " ".join(str(row[name]) for name in ("grammar", "strategy", "control", "adaptation") if row[name])
    return f"| {row['task']} | {named} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
