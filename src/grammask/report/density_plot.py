"""What is kept against how much is read: grammars as points, their controls as bands."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figure import COLOURS, INK, Picture, style

_LINES = ("-", "--", ":", "-.")


class Mark(NamedTuple):
    """A row of the plot, all in percent: its word density, and its figure with a 95 % interval."""

    name: str
    density: float
    value: float
    interval: Sequence[float]
    is_control: bool


def density_plot(marks: Sequence[Mark], name: str, *, label: str, title: str, lines: Mapping[str, float]) -> Picture:
    """Return the figure; `label` is that of the axis upwards, `lines` are heights to compare with."""
    with style(name):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for number, mark in enumerate(mark for mark in marks if mark.is_control):
            _band(axes, mark, _LINES[number % len(_LINES)], COLOURS[-1 - number % len(COLOURS)])
        for number, mark in enumerate(mark for mark in marks if not mark.is_control):
            colour = COLOURS[number % len(COLOURS)]
            axes.plot([mark.density] * 2, mark.interval, color=colour, linewidth=3, alpha=0.4)
            axes.plot([mark.density], [mark.value], "o", color=colour, label=f"{mark.name}")
        for text, height in lines.items():
            axes.axhline(height, color=INK, linewidth=0.8)
            axes.annotate(text, (1, height), (-2, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                          ha="right", color=INK, fontsize=8)  # fmt: skip
        axes.set_xlabel("word density in %: the share of word pairs that are read")
        axes.set_ylabel(label)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.2)
        if marks:
            figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        return Picture(figure, name, title)


def _band(axes: Axes, mark: Mark, line: str, colour: str) -> None:
    """Draw a control's interval across the figure: it has the density of the grammar that it belongs to."""
    axes.axhspan(*mark.interval, color=colour, alpha=0.12, linewidth=0)
    axes.axhline(mark.value, color=colour, linestyle=line, label=mark.name)
