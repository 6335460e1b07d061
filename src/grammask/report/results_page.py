"""The page of a grid of comparisons, as Markdown, and its figure: accuracy kept against word density."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from .figures import COLOURS, INK, style, svg
from .plots import row_name
from .render import render_text


def results_page(grid: Mapping[str, Any]) -> str:
    """Return the Markdown page of a grid; see `experiment.grid.summarise_grid`."""
    return render_text(
        "results.md.j2",
        **grid,
        name=row_name,
        percent=lambda value: f"{100 * value:.1f}",
        points=lambda value: f"{100 * value:+.1f}",
        span=lambda bounds: f"[{100 * bounds[0]:+.1f}, {100 * bounds[1]:+.1f}]",
        p=lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}",
        command=_command,
        options=_options,
    )


def _command(task: Mapping[str, Any]) -> str:
    size = f" --train-size {task['train_rows']}" if task["train_size"] is not None else ""
    precision = task["environments"][0]["precision"]
    return (
        f"grammask compare --task data/{task['name']}{size} --epochs {task['epochs']:g} "
        f"--batch-size {task['batch_size']} --learning-rate {task['learning_rate']:g} "
        f"--precision {precision} --metric {task['metric']} --out runs/{task['name']}"
    )


def _options(row: Mapping[str, Any]) -> str:
    seeds = f"--seeds {','.join(map(str, row['seeds']))}"
    if row["grammar"] is None:
        return f"--strategies full {seeds}"
    extra = "" if row["control"] is None else f" --controls {row['control']}"
    extra += "" if row["adaptation"] is None else f" --adapt {row['adaptation']}"
    limit = "controls" if row["control"] else row["strategy"]
    return f"--strategies full,{row['strategy']} --grammar {row['grammar']}:{limit}{extra} {seeds}"


def results_plot(grid: Mapping[str, Any]) -> str:
    """Return the mean difference to full of every row against its mean word density, with intervals, as SVG."""
    with style("grid"):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for number, mean in enumerate(row for row in grid["means"] if row["strategy"] == "hard"):
            density = 100 * _density(grid["tasks"], mean)
            low, high = (100 * bound for bound in mean["interval"])
            colour = "#8a8f98" if mean["control"] else COLOURS[number % len(COLOURS)]
            axes.plot([density, density], [low, high], color=colour, linewidth=3, alpha=0.4)
            axes.plot([density], [100 * mean["difference"]], "o", color=colour)
            axes.annotate(row_name(mean), (density, 100 * mean["difference"]), (5, 4), textcoords="offset points",
                          color=INK, fontsize=8)  # fmt: skip
        axes.axhline(0.0, color=INK, linewidth=0.8)
        axes.set_xlabel("mean word density of the tasks in %")
        axes.set_ylabel("mean difference to full attention, points")
        axes.grid(alpha=0.2)
        return svg(figure, "grid", "Mean difference to full attention against word density; controls are grey")


def _density(tasks: Sequence[Mapping[str, Any]], mean: Mapping[str, Any]) -> float:
    parts = ("grammar", "strategy", "control", "adaptation")
    found = [
        row["word_density"] for task in tasks for row in task["rows"] if all(row[part] == mean[part] for part in parts)
    ]
    return float(sum(found) / len(found))
