"""The page of a grid of comparisons, as Markdown, and its figure: accuracy kept against word density."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, Final

from ..files.write import dump, write_whole
from .compare_plots import row_name
from .density_plots import Mark, density_plot
from .figure import Picture
from .markdown import Markdown, code
from .page import percent, points, render_markdown

RECORD: Final[Path] = Path("grid.json")


def write_results_page(grid: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the page of a grid, its record and its figure into a folder, and return where page and record are.

    All are made before the first is written.
    """
    record = folder / RECORD
    figure, page = results_plot(grid).svg(), results_page(grid)
    write_whole(record, dump(grid))
    write_whole(record.with_suffix(".svg"), figure)
    write_whole(folder / "results.md", page)
    return [folder / "results.md", record]


def results_page(grid: Mapping[str, Any]) -> str:
    """Return the Markdown page of a grid; see `experiment.grid_summary.summarise_grid`."""
    return render_markdown(
        "results.md.j2",
        **grid,
        name=row_name,
        percent=percent,
        points=points,
        density=lambda mean: _density(grid["tasks"], mean),
        span=lambda bounds: Markdown(f"[{100 * bounds[0]:+.1f}, {100 * bounds[1]:+.1f}]"),
        p=lambda value: Markdown("< 0.001" if value < 0.001 else f"{value:.3f}"),
        verdict=lambda bounds: "better" if bounds[0] > 0 else "worse" if bounds[1] < 0 else "not shown to differ",
        command=lambda task: code(_command(task)),
    )


def _command(task: Mapping[str, Any]) -> str:
    size = f" --train-size {task['train_rows']}" if task["train_size"] is not None else ""
    precision = task["environments"][0]["precision"]
    return (
        f"grammask compare --task {quote(task['task'])} --model {quote(task['model'])}{size} "
        f"--epochs {task['epochs']:g} --batch-size {task['batch_size']} --learning-rate {task['learning_rate']:g} "
        f"--max-length {task['max_length']}{_later(task)} --precision {precision} --metric {task['metric']} "
        f"--out {quote('runs/' + task['name'])}"
    )


def _later(task: Mapping[str, Any]) -> str:
    """Return the settings that records name only where they aren't as they always were."""
    warmup = f" --warmup {task['warmup']:g}" if "warmup" in task else ""
    positions = f" --positions {task['positions']}" if "positions" in task else ""
    method = f" --position-method {task['position_method']}" if "position_method" in task else ""
    attention = f" --attention {task['attention']}" if "attention" in task else ""
    return warmup + positions + method + (" --group-by-length" if "group_by_length" in task else "") + attention


def results_plot(grid: Mapping[str, Any]) -> Picture:
    """Return the mean difference to full of hard rows against their mean word density, controls as bands.

    Rows that aren't finished on all tasks are left out, since their means are over other tasks.
    """
    marks = [
        Mark(
            row_name(mean), 100 * _density(grid["tasks"], mean), 100 * mean["difference"],
            [100 * bound for bound in mean["interval"]], mean["control"] is not None,
        )
        for mean in grid["means"]
        if mean["strategy"] == "hard" and len(mean["tasks"]) == len(grid["tasks"])
    ]  # fmt: skip
    return density_plot(
        marks, "grid", label="mean difference to full attention, points", lines={"full": 0.0},
        title="Mean difference to full attention against word density; controls are bands",
    )  # fmt: skip


def _density(tasks: Sequence[Mapping[str, Any]], mean: Mapping[str, Any]) -> float:
    parts = ("grammar", "strategy", "control", "adaptation", "attention")
    found = [
        row["word_density"]
        for task in tasks
        for row in task["rows"]
        if all(row.get(part) == mean.get(part) for part in parts)
    ]
    return float(sum(found) / len(found))
