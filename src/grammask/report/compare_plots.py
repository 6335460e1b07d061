"""The figures of a comparison's report."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from .density_plots import Mark, density_plot
from .figure import COLOURS, Picture, style


def row_name(row: Mapping[str, Any]) -> str:
    """Return the name of a row: strategy or control, grammar, the way of training, and weights that are fresh."""
    name = str(row["strategy"]) if row["grammar"] is None else f"{row['strategy']} {row['grammar']}"
    if row["control"] is not None:
        name = f"{row['control']} of {row['grammar']}"
    # The first records don't name their weights.
    return ", ".join(part for part in (name, row["adaptation"], row.get("attention")) if part)


def accuracy_plot(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Accuracy with its 95 % interval for each row, and a dot for each seed."""
    with style("accuracy"):
        figure = Figure(figsize=(7.5, 1.2 + 0.45 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows):
            low, high = row["accuracy_interval"]
            axes.plot([100 * low, 100 * high], [place, place], color=COLOURS[0], linewidth=5, alpha=0.35)
            by_seed = [100 * value for value in row["accuracy_by_seed"]]
            axes.plot(by_seed, [place] * len(by_seed), "o", color=COLOURS[0], markersize=4, alpha=0.6)
            axes.plot([100 * row["accuracy"]], [place], "D", color=COLOURS[1], markersize=7)
        axes.set_yticks(range(len(rows)), [row_name(row) for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("accuracy in %: mean (diamond), seeds (dots), 95 % interval (bar)")
        axes.grid(axis="x", alpha=0.2)
        return Picture(figure, "accuracy", "Accuracy of each strategy with its 95 % interval")


def kept_plot(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Accuracy of each hard row against its word density, controls as bands; full is a line."""
    marks = [
        Mark(
            row_name(row), 100 * row["word_density"], 100 * row["accuracy"],
            [100 * bound for bound in row["accuracy_interval"]], row["control"] is not None,
        )
        for row in rows
        if row["strategy"] == "hard"
    ]  # fmt: skip
    full = [100 * row["accuracy"] for row in rows if row["strategy"] == "full"]
    return density_plot(
        marks, "kept", label="accuracy in %, with its 95 % interval", lines={"full": full[0]} if full else {},
        title="Accuracy of hard grammars against word density; controls are bands",
    )  # fmt: skip


def cost_plot(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Attention FLOPs, model FLOPs and training seconds of each row, in % of the first row's seconds or of full."""
    base = next((row for row in rows if row["strategy"] == "full"), rows[0])
    series = (
        ("attention FLOPs, allowed pairs only", [row["attention_flops_relative"] for row in rows]),
        ("whole-model FLOPs, allowed pairs only", [row["model_flops_relative"] for row in rows]),
        ("training seconds, as measured", [row["training_seconds"] / base["training_seconds"] for row in rows]),
    )
    with style("cost"):
        figure = Figure(figsize=(7.5, 1.8 + 0.7 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for number, (label, values) in enumerate(series):
            places = [place + 0.25 * (number - 1) for place in range(len(rows))]
            axes.barh(places, [100 * value for value in values], height=0.23, color=COLOURS[number], label=label)
        axes.set_yticks(range(len(rows)), [row_name(row) for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel(f"% of {row_name(base)}")
        axes.grid(axis="x", alpha=0.2)
        figure.legend(loc="outside upper left", frameon=False, ncols=1)
        return Picture(figure, "cost", "Cost of each strategy relative to full attention")
