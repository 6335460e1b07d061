"""The figures of a benchmark: seconds and speed-up over length, and memory."""

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ..attention.backends import BACKENDS
from .bench_rows import Row, contender_name, has_run, lengths_of, own_name
from .figure import COLOURS, INK, Picture, style

# A contender looks the same in all figures.
_PEERS: Final[tuple[str, ...]] = ("dense-masked", "flex", "longformer", "bigbird", "streaming")
_CONTENDERS: Final[tuple[str, ...]] = (*_PEERS, *map(own_name, BACKENDS), "full", "no attention")
_MARKERS: Final[str] = "sD^ovP*Xhp.x"


def series_plot(rows: Sequence[Row], name: str) -> Picture:
    """Draw one series: milliseconds and speed-up over length, both on logarithmic axes, with the ideal dashed."""
    series = str(rows[0]["series"])
    with style(name):
        figure = Figure(figsize=(9.5, 4.6), layout="constrained")
        seconds, speedup = figure.subplots(1, 2)
        for contender in dict.fromkeys(contender_name(row) for row in rows if has_run(row)):
            members = [row for row in rows if has_run(row) and contender_name(row) == contender]
            members.sort(key=lambda row: int(row["length"]))
            lengths = [row["length"] for row in members]
            place = _CONTENDERS.index(contender)
            look: dict[str, Any] = {
                "color": INK if members[0]["kind"] in ("full", "floor") else COLOURS[place % len(COLOURS)],
                "marker": _MARKERS[place % len(_MARKERS)],
                "markersize": 5,
                "linestyle": ":" if members[0]["kind"] == "floor" else "-",
                "linewidth": 2.2 if members[0]["kind"] == "ours" else 1.2,
            }
            seconds.plot(lengths, [1000 * row["median_seconds"] for row in members], label=contender, **look)
            speedup.plot(lengths, [row["speedup"] for row in members], **look)
        ideal = [row for row in rows if has_run(row) and row["kind"] == "full" and row["ideal"] is not None]
        if ideal:
            lengths = [row["length"] for row in ideal]
            look = {"color": INK, "linestyle": "--", "linewidth": 1}
            seconds.plot(lengths, [1000 * row["median_seconds"] / row["ideal"] for row in ideal], label="ideal", **look)
            speedup.plot(lengths, [row["ideal"] for row in ideal], **look)
        seconds.set_ylabel("milliseconds, median")
        speedup.set_ylabel("full / own, median over rounds")
        for axes in (seconds, speedup):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(lengths_of(rows), [str(length) for length in lengths_of(rows)])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_xlabel("tokens")
            axes.grid(alpha=0.2)
        figure.legend(loc="outside upper left", frameon=False, ncols=5)
        return Picture(figure, name, f"Time and speed-up: {series}")


def memory_plot(rows: Sequence[Row], name: str) -> Picture:
    """Draw what attention adds to resident memory at most, plan or mask included, for each contender of a series."""
    rows = [row for row in rows if has_run(row)]
    with style(name):
        figure = Figure(figsize=(7.5, 1.0 + 0.35 * len(rows)), layout="constrained")
        axes = figure.subplots()
        values = [row["attention_bytes"] / 2**20 for row in rows]
        bars = axes.barh(range(len(rows)), values, color=COLOURS[0], height=0.7)
        axes.bar_label(bars, [f"{value:,.1f}" for value in values], padding=3)
        axes.set_yticks(range(len(rows)), [contender_name(row) for row in rows])
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("MiB above the inputs, at most, during attention")
        return Picture(figure, name, f"Memory: {rows[0]['series']}" if rows else "Memory")
