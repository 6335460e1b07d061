"""Compare runs that were made again with those of before: python scripts/compare_again.py OLD NEW --out FILE.

OLD and NEW hold a folder for each task, as `grammask compare --grid` writes them. Rows that both have are compared over
the seeds that both have, text by text. The full attention of OLD is what both are held against.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from grammask.experiment.grid_summary import read_task_folders
from grammask.experiment.plan_runs import RowKey
from grammask.experiment.results import ComparisonResults
from grammask.experiment.statistics import RunOutcome, difference, group_by_row, paired_scores
from grammask.files.write import dump, write_whole
from grammask.resampling import Floats, Metric, interval

Rows = dict[RowKey, dict[int, RunOutcome]]


def main() -> None:
    """Compare all tasks of NEW, write the record, and print it as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    names = sorted(folder.name for folder in options.new.iterdir() if (folder / "results.json").is_file())
    old, new = (read_task_folders([root / name for name in names]) for root in (options.old, options.new))
    record = {"tasks": names, "rows": compare(old, new)}
    write_whole(options.out, dump(record))
    for row in record["rows"]:
        print(line(row))  # noqa: T201


def compare(old: dict[str, ComparisonResults], new: dict[str, ComparisonResults]) -> list[dict[str, Any]]:
    """Return what moved in each row, on each task and, last, as a mean over the tasks that have it."""
    before, after = ({name: group_by_row(found.outcomes) for name, found in tasks.items()} for tasks in (old, new))
    rows = []
    for key in dict.fromkeys(key for of_task in after.values() for key in of_task):
        parts = []
        for number, name in enumerate(after):
            if key in before[name] and key in after[name]:
                metric = new[name].facts["config"]["metric"]
                parts.append((name, _moved(before[name], after[name], key, metric, seed=number)))
        rows += [_row(key, name, part) for name, part in parts]
        if len(parts) > 1:
            mean = {
                name: (np.mean([part[name][0] for _, part in parts]), np.mean([part[name][1] for _, part in parts], 0))
                for name in parts[0][1]
            }
            rows.append(_row(key, "mean", mean))
    return rows


def _moved(before: Rows, after: Rows, key: RowKey, metric: Metric, *, seed: int) -> dict[str, tuple[float, Floats]]:
    """Return the differences of a row on one task, and their bootstrap distributions on the same texts."""
    full = next(of_row for row, of_row in before.items() if row.strategy == "full")
    pairs = {
        "moved": (after[key], before[key]), "old_to_full": (before[key], full), "new_to_full": (after[key], full),
    }  # fmt: skip
    found = {}
    for name, (one, other) in pairs.items():
        scores = paired_scores(one, other, metric)
        if scores is None:
            raise SystemExit(f"{key}: no seed is in both")
        found[name] = difference(*scores, seed=seed)
    return found


def _row(key: RowKey, task: str, figures: dict[str, tuple[Any, Floats]]) -> dict[str, Any]:
    values = {
        name: {"value": float(value), "interval": list(interval(draws))} for name, (value, draws) in figures.items()
    }
    return {**key._asdict(), "task": task, **values}


def line(row: dict[str, Any]) -> str:
    """Return a row of a page's table, in points."""
    cells = []
    for name in ("old_to_full", "new_to_full", "moved"):
        low, high = row[name]["interval"]
        cells.append(f"{100 * row[name]['value']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
    named = " ".join(str(row[name]) for name in ("grammar", "strategy", "control", "adaptation") if row[name])
    return f"| {row['task']} | {named} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
