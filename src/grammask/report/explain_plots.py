"""The figures of one explained text."""

from collections.abc import Mapping
from typing import Any, Final

from matplotlib.figure import Figure

from .explain_page import masses_of, spelled
from .figure import COLOURS, INK, Picture, heat_map, style

_MOST: Final[int] = 12


def words_plot(text: Mapping[str, Any]) -> Picture:
    """Draw what each word adds to the probability of the answer."""
    words = [word for word in text["words"] if word["is_word"]]
    values = [100 * word["importance"] for word in words]
    with style("words"):
        figure = Figure(figsize=(7, 1 + 0.25 * len(words)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(words)), values, color=[COLOURS[0] if value > 0 else COLOURS[1] for value in values])
        axes.set_yticks(range(len(words)), [f"{word['text']} ({word['tag']})" for word in words])
        axes.invert_yaxis()
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"importance for {text['label']}, points of probability")
        return Picture(figure, "words", "What each word adds to the answer")


def mass_plot(text: Mapping[str, Any]) -> Picture:
    """Draw the share of attention by source and layer."""
    rows = masses_of(text)
    with style("mass"):
        figure = heat_map(
            [row["shares"] for row in rows], rows=[row["name"] for row in rows],
            columns=[str(layer) for layer in text["layers"]], label="layer",
        )  # fmt: skip
        return Picture(figure, "mass", "Attention by source and layer")


def changes_plot(text: Mapping[str, Any]) -> Picture:
    """Draw what the answer's probability changes by without a rule, the largest changes."""
    rows = sorted((row for row in text["ablations"] if row["share"]), key=lambda row: -row["share"])[:_MOST]
    with style("changes"):
        figure = Figure(figsize=(7, 1 + 0.3 * max(1, len(rows))), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(rows)), [100 * row["change"] for row in rows], color=COLOURS[0])
        axes.set_yticks(range(len(rows)), [spelled(text["sources"][row["source"]]) for row in rows])
        axes.invert_yaxis()
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"change of {text['label']} without the rule, points of probability")
        return Picture(figure, "changes", "What the answer loses without a rule")
