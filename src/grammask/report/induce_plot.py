"""The picture of an induced grammar: what grammars of each density cover on held-out text."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from .figure import COLOURS, Picture, style


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
