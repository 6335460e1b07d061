"""A figure of what grammars of growing budgets lose on long texts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.figure import Figure

from .figure import COLOURS, INK, Picture, style

_LINES: Final[tuple[tuple[str, str], ...]] = (
    ("loss", "all tokens"), ("names_loss", "names"), ("answers_loss", "answers about facts"),
)  # fmt: skip


def loss_curve(rows: Sequence[Mapping[str, Any]], *, name: str) -> Picture:
    """Return the loss less that of the full model against the share of causal pairs: all tokens, names, answers.

    What texts don't have, as None in all rows says, has no line.
    """
    with style("loss-curve"):
        figure = Figure(figsize=(6, 3.8), layout="constrained")
        axes = figure.subplots()
        for number, (key, label) in enumerate(_LINES):
            points = [(100 * row["pairs"], row[f"{key}_difference"]) for row in rows]
            if all(loss is not None for _, loss in points):
                axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[number], label=label)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("share of causal pairs in %")
        axes.set_ylabel("loss less that of full, nats a token")
        axes.grid(alpha=0.2)
        axes.legend(frameon=False, title=f"grammars like {name}, held-out texts")
        return Picture(figure, "loss-curve", f"What grammars like {name} lose at each share of causal pairs")
