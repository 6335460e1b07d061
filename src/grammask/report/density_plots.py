"""Figures over word density: accuracy of grammars with their controls, and the coverage of induced grammars."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figure import COLOURS, INK, Picture, from_zero, style

_LINES = ("-", "--", ":", "-.")


class Mark(NamedTuple):
    """A row of the plot, all in percent: its word density, and its figure with a 95 % interval."""

    name: str
    density: float
    value: float
    interval: Sequence[float]
    is_control: bool


def density_plot(marks: Sequence[Mark], name: str, *, label: str, title: str, lines: Mapping[str, float]) -> Picture:
    """Return a figure of points and bands; `label` is the y axis's, `lines` are values to compare with, by name."""
    with style(name):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for number, mark in enumerate(mark for mark in marks if mark.is_control):
            _band(axes, mark, _LINES[number % len(_LINES)], COLOURS[-1 - number % len(COLOURS)])
        for number, mark in enumerate(mark for mark in marks if not mark.is_control):
            colour = COLOURS[number % len(COLOURS)]
            axes.plot([mark.density] * 2, mark.interval, color=colour, linewidth=3, alpha=0.4)
            axes.plot([mark.density], [mark.value], "o", color=colour, label=mark.name)
        for text, height in lines.items():
            axes.axhline(height, color=INK, linewidth=0.8)
            axes.annotate(text, (1, height), (-2, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                          ha="right", color=INK, fontsize=8)  # fmt: skip
        axes.set_xlabel("word density in %: the share of word pairs that are read")
        axes.set_ylabel(label)
        from_zero(axes)
        axes.grid(alpha=0.2)
        if marks:
            figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        return Picture(figure, name, title)


def _band(axes: Axes, mark: Mark, line: str, colour: str) -> None:
    """Draw a control's interval across the figure; its density is that of its grammar."""
    axes.axhspan(*mark.interval, color=colour, alpha=0.12, linewidth=0)
    axes.axhline(mark.value, color=colour, linestyle=line, label=mark.name)


def curve_plot(rows: Sequence[Mapping[str, float]], chosen: Mapping[str, float], *, name: str) -> Picture:
    """Return coverage against word density: a line for each kind of gain, a diamond for the grammar itself."""
    kinds = [key for key in chosen if key.endswith("_covered")]
    with style("curve"):
        figure = Figure(figsize=(6, 3.8), layout="constrained")
        axes = figure.subplots()
        for number, kind in enumerate(kinds):
            label = kind.removesuffix("_covered")
            points = [(100 * row["density"], 100 * row[kind]) for row in rows]
            axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[number], markersize=3, label=label)
            axes.plot([100 * chosen["density"]], [100 * chosen[kind]], "D", color=COLOURS[number], markersize=8)
        axes.set_xlabel("word density on held-out text in %")
        axes.set_ylabel("covered in %")
        axes.grid(alpha=0.2)
        axes.legend(frameon=False, title=f"{name} (diamond) and other budgets")
        return Picture(figure, "curve", f"What grammars like {name} cover at each density")
