"""The figures of recall: what is copied for the share of the cache that is kept, and by distance."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figure import COLOURS, Picture, from_zero, style

_SHAPES: Final[tuple[str, ...]] = ("o", "s", "^", "D", "v", "P", "X", "*")
_Rows = Sequence[Mapping[str, Any]]


def recall_row_name(row: Mapping[str, Any]) -> str:
    """Return the name of a method, with what it knows of the question where that isn't the usual."""
    return f"{row['name']}, question known" if row["moment"] == "known" else str(row["name"])


def distances_of(rows: _Rows) -> list[int]:
    """Return the distances that facts stand for, from the nearest."""
    return sorted({part["target"] for row in rows for part in row["by_distance"]})


def recall_cache_plot(rows: _Rows) -> Picture:
    """Share of facts that are copied against the share of the cache."""
    with style("recall-by-cache"):
        figure = Figure(figsize=(8.5, 4.8), layout="constrained")
        axes = figure.subplots()
        for number, row in enumerate(rows):
            axes.vlines(100 * row["share"], *_in_percent(row["exact"]["interval"]), alpha=0.35, color=_colour(number))
            _line(axes, [100 * row["share"]], [100 * row["exact"]["value"]], number, row)
        _finish(figure, axes)
        from_zero(axes)
        axes.set_xlabel("keys that are kept, % of the context's")
        return Picture(figure, "recall-by-cache", "Facts that are copied against the share of the cache that is kept")


def recall_distance_plot(rows: _Rows) -> Picture:
    """Share of facts that are copied by their distance, a line for each method."""
    with style("recall-by-distance"):
        figure = Figure(figsize=(8.5, 4.8), layout="constrained")
        axes = figure.subplots()
        for number, row in enumerate(rows):
            targets = [part["target"] for part in row["by_distance"]]
            lows, highs = zip(*(_in_percent(part["interval"]) for part in row["by_distance"]), strict=True)
            axes.fill_between(targets, lows, highs, alpha=0.08, linewidth=0, color=_colour(number))
            _line(axes, targets, [100 * part["value"] for part in row["by_distance"]], number, row)
        _finish(figure, axes)
        axes.set_xticks(distances_of(rows))
        axes.set_xlabel("tokens between fact and question")
        return Picture(figure, "recall-by-distance", "Facts that are copied by how far back they stand")


def _line(axes: Axes, places: Sequence[float], values: Sequence[float], number: int, row: Mapping[str, Any]) -> None:
    shape = _SHAPES[number // len(COLOURS) % len(_SHAPES)]
    line, face = ("--", "none") if row["moment"] == "known" else ("-", _colour(number))
    name = recall_row_name(row)
    axes.plot(places, values, line, marker=shape, markerfacecolor=face, color=_colour(number), label=name)


def _finish(figure: Figure, axes: Axes) -> None:
    axes.set_ylim(-3, 103)
    axes.set_ylabel("facts that are copied, %")
    axes.grid(alpha=0.2)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _in_percent(interval: Sequence[float]) -> tuple[float, float]:
    low, high = interval
    return 100 * low, 100 * high
