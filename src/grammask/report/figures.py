"""Drawing for a page: SVG text that takes its colours from the page around it, with ids of its own."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Final

import matplotlib
from matplotlib.figure import Figure

# Stands for the page's text colour, which an SVG inside HTML can name and matplotlib cannot.
INK: Final[str] = "#123456"
COLOURS: Final[tuple[str, ...]] = (
    "#3b82c4", "#d9822b", "#5a9e5a", "#b0549e", "#c94f4f", "#7a6fd0", "#2f9c95", "#a08430", "#8a8f98", "#d06f95",
)  # fmt: skip
_STYLE: Final[Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "text.color": INK, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "text.parse_math": False,
}  # fmt: skip


@contextmanager
def style(name: str) -> Iterator[None]:
    """Draw in the pages' style; `name` is the figure's own, so that its ids are the same each time."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


def svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as SVG for inside a page; no two of a page share a `name`. Call it within `style`."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    # Metadata names addresses that nobody needs; ids must not clash with the other figure's.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    head_end = svg.index(">") + 1
    return f'{svg[: head_end - 1]} role="img"><title>{escape(title)}</title>{svg[head_end:]}'
