"""Figures for pages: SVG that takes its text colour from the page, with unique ids; and files of the same."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from math import inf
from pathlib import Path
from typing import Any, Final

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from ..files.write import write_whole
from ..printing import writable

# Stands for the page's text colour: an SVG inside HTML can use it, but matplotlib cannot name it.
INK: Final[str] = "#123456"
COLOURS: Final[tuple[str, ...]] = (
    "#3b82c4", "#d9822b", "#5a9e5a", "#b0549e", "#c94f4f", "#7a6fd0", "#2f9c95", "#a08430", "#8a8f98", "#d06f95",
)  # fmt: skip
_BLACK: Final[str] = "#1c2024"
_STYLE: Final[Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "text.color": INK, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "text.parse_math": False,
}  # fmt: skip


@contextmanager
def style(name: str) -> Iterator[None]:
    """Draw in the pages' style; `name` is the figure's, so that its ids are the same each time."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


def from_zero(axes: Axes) -> None:
    """Let the x axis go from 0 to a little behind the last point."""
    last = axes.dataLim.x1
    axes.set_xlim(0, 1.05 * last if 0 < last < inf else None)


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn figure; `name` is unique on its page and in its folder, `title` describes it to screen readers."""

    figure: Figure
    name: str
    title: str

    def svg(self) -> Markup:
        """Return the figure as SVG for inside a page; no two of a page share a name."""
        stream = io.StringIO()
        with style(self.name):
            self.figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        svg = writable(stream.getvalue())
        svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
        # Metadata holds needless addresses; ids must not clash with those of other figures.
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{self.name}-", svg)
        head_end = svg.index(">") + 1
        # Our own SVG, its texts escaped by matplotlib.
        return Markup(f'{svg[: head_end - 1]} role="img"><title>{escape(writable(self.title))}</title>{svg[head_end:]}')  # noqa: S704

    def save(self, folder: Path) -> None:
        """Write the figure as NAME.svg and NAME.png, black on white."""
        folder.mkdir(parents=True, exist_ok=True)
        for artist in self.figure.findobj(Text):
            if artist.get_color() == INK:
                artist.set_color(_BLACK)
        with style(self.name):
            self.figure.savefig(folder / f"{self.name}.png", dpi=150, facecolor="white")
            stream = io.StringIO()
            self.figure.savefig(stream, format="svg", facecolor="white")
        write_whole(folder / f"{self.name}.svg", writable(stream.getvalue()))


def heat_map(
    values: Sequence[Sequence[float]], *, rows: Sequence[str], columns: Sequence[str], label: str
) -> Figure:  # fmt: skip
    """Return shares (rows, columns) as a heat map with their percentages; call it within `style`."""
    figure = Figure(
        figsize=(0.5 + 0.075 * max(map(len, rows)) + 0.5 * len(columns), 1 + 0.3 * len(rows)), layout="constrained"
    )
    axes = figure.subplots()
    every = [value for row in values for value in row]
    # Rectangles, since the policy of pages forbids images. Dark cells would hide their figures.
    most = 1.6 * max(1e-9, *map(abs, every))
    signed = min(every, default=0.0) < 0
    axes.pcolormesh(values, cmap="RdBu" if signed else "Blues", vmin=-most if signed else 0.0, vmax=most)
    axes.invert_yaxis()
    axes.set_xticks([place + 0.5 for place in range(len(columns))], columns)
    axes.set_yticks([place + 0.5 for place in range(len(rows))], rows)
    axes.set_xlabel(label)
    for place, row in enumerate(values):
        for number, value in enumerate(row):
            at = (number + 0.5, place + 0.5)
            axes.annotate(f"{100 * value:.0f}", at, ha="center", va="center", color=_BLACK, fontsize=8)
    return figure
