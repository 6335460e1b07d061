"""The figures of a perplexity run: what is lost by part of speech and by distance, for the pairs that are read."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figure import COLOURS, INK, Picture, from_zero, style

GROUPS: Final[tuple[str, ...]] = ("names", "nouns", "verbs", "others")
DISTANCES: Final[tuple[str, ...]] = ("new", "within", "beyond")
_SHAPES: Final[tuple[str, ...]] = ("s", "^", "v", "P", "X", "*", "<", ">")
_Rows = Sequence[Mapping[str, Any]]


def loss_row_name(row: Mapping[str, Any]) -> str:
    """Return the name of a row: full, its grammar, or control and grammar."""
    return str(row["name"]) if row["control"] is None else f"{row['control']} of {row['of']}"


def tag_plot(rows: _Rows) -> Picture:
    """Loss above full against the share of pairs, a panel for names, nouns, verbs and others.

    Controls have the pairs of their grammar, and stand in a row from it to the right.
    """
    with style("by-tag"):
        figure = Figure(figsize=(8.5, 6.4), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True)
        places = _places(rows)
        for axes, group in zip(panels.flat, GROUPS, strict=True):
            axes.axhline(0, color=INK, linewidth=0.8)
            for mark, row in _marked(rows):
                _point(axes, places[row["name"]], row["difference_by_tag"].get(group), mark, loss_row_name(row))
            from_zero(axes)
            axes.set_title(group, fontsize=10)
            axes.grid(alpha=0.2)
        for axes in panels[1]:
            axes.set_xlabel("pairs that are read, % of causal pairs\n(controls have those of their grammar)")
        for axes in panels[:, 0]:
            axes.set_ylabel("loss - full, nats a token")
        _legend(figure, panels.flat)
        return Picture(figure, "by-tag", "Loss above full attention by part of speech against the share of pairs")


def _places(rows: _Rows) -> dict[str, float]:
    """Return where each row stands: at its pairs, controls a little to the right of their grammar."""
    pairs = {row["name"]: 100 * row["pairs"] for row in rows}
    step = 0.02 * max((pairs[row["name"]] for row in rows if row["difference"] is not None), default=1.0)
    places, seen = {}, dict.fromkeys(pairs, 0)
    for row in rows:
        if row["of"] in seen:
            seen[row["of"]] += 1
            places[row["name"]] = pairs[row["of"]] + step * seen[row["of"]]
        else:
            places[row["name"]] = pairs[row["name"]]
    return places


def distance_plot(rows: _Rows) -> Picture:
    """Loss above full of words that are new, that stood before within the window, and beyond it."""
    with style("by-distance"):
        figure = Figure(figsize=(8.5, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color=INK, linewidth=0.8)
        compared = list(_marked(rows))
        for number, (mark, row) in enumerate(compared):
            for place, distance in enumerate(DISTANCES):
                at = place + 0.7 * ((number + 0.5) / len(compared) - 0.5)
                _point(axes, at, row["difference_by_distance"].get(distance), mark, loss_row_name(row))
        axes.set_xticks(range(len(DISTANCES)), ["new", "stood before, within the window", "stood before, further back"])
        axes.set_ylabel("loss - full, nats a token")
        axes.grid(axis="y", alpha=0.2)
        _legend(figure, [axes])
        return Picture(figure, "by-distance", "Loss above full attention by how far back the same word stood before")


def _marked(rows: _Rows) -> list[tuple[tuple[str, str], Mapping[str, Any]]]:
    """Return the rows that are compared with full, each with its shape and colour: controls have that of their kind."""
    controls = list(dict.fromkeys(row["control"] for row in rows if row["control"] is not None))
    grammars = list(dict.fromkeys(row["of"] or row["name"] for row in rows if row["difference"] is not None))
    marked = []
    for row in rows:
        if row["difference"] is not None:
            shape = "o" if row["control"] is None else _SHAPES[controls.index(row["control"]) % len(_SHAPES)]
            colour = COLOURS[grammars.index(row["of"] or row["name"]) % len(COLOURS)]
            marked.append(((shape, colour), row))
    return marked


def _point(axes: Axes, at: float, found: Mapping[str, Any] | None, mark: tuple[str, str], name: str) -> None:
    """Draw a difference and its interval; nothing where the texts have none of it."""
    if found is None:
        return
    shape, colour = mark
    if found["low"] is not None:
        axes.plot([at, at], [found["low"], found["high"]], color=colour, linewidth=2, alpha=0.35)
    axes.plot([at], [found["mean"]], shape, color=colour, markersize=7 if shape == "o" else 5, label=name)


def _legend(figure: Figure, panels: Any) -> None:
    """Name each row once, whichever panels it is in."""
    named = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=8)
