"""The figures of explained texts, and all of them as files with their numbers; no browser is needed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from ..files.write import write_csv, write_whole
from .arcs_svg import arcs_svg
from .explain_page import answer_label, masses_of, source_label
from .figure import COLOURS, INK, Picture, heat_map, style

_MOST: Final[int] = 12


def words_plot(text: Mapping[str, Any]) -> Picture:
    """Draw what each word adds to the answer."""
    words = [word for word in text["words"] if word["is_word"]]
    scale, measure = _measure(text)
    values = [scale * word["importance"] for word in words]
    with style("words"):
        figure = Figure(figsize=(7, 1 + 0.25 * len(words)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(words)), values, color=[COLOURS[0] if value > 0 else COLOURS[1] for value in values])
        axes.set_yticks(range(len(words)), [f"{word['text']} ({word['tag']})" for word in words])
        axes.invert_yaxis()
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"importance for {answer_label(text, text['label'])}, {measure}")
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
    """Draw what the answer changes by without a rule, the largest changes."""
    scale, measure = _measure(text)
    change = "change" if text["token"] is None else "log_change"
    rows = sorted((row for row in text["ablations"] if row["share"]), key=lambda row: -row["share"])[:_MOST]
    with style("changes"):
        figure = Figure(figsize=(7, 1 + 0.3 * max(1, len(rows))), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(rows)), [scale * row[change] for row in rows], color=COLOURS[0])
        axes.set_yticks(range(len(rows)), [source_label(text["sources"][row["source"]]) for row in rows])
        axes.invert_yaxis()
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"change of {answer_label(text, text['label'])} without the rule, {measure}")
        return Picture(figure, "changes", "What the answer loses without a rule")


def _measure(text: Mapping[str, Any]) -> tuple[float, str]:
    """Return what changes are counted in, and by how much they are multiplied."""
    return (100.0, "points of probability") if text["token"] is None else (1.0, "nats of log-probability")


def write_explain_figures(explained: Mapping[str, Any], folder: Path) -> None:
    """Write a folder for each text: arcs.svg, and words, mass and changes as SVG, PNG and CSV."""
    for number, text in enumerate(explained["texts"], start=1):
        here, sources = folder / f"text{number}", text["sources"]
        write_whole(here / "arcs.svg", arcs_svg(text, f"text{number}").replace("currentColor", "#444", 1))
        arcs = [
            {
                "reader": text["words"][arc["query"]]["text"], "read": text["words"][arc["key"]]["text"],
                "source": source_label(sources[arc["source"]]), "layer": layer, "head": head, "share": share,
            }
            for arc in text["arcs"]
            for layer, head, share in arc["heads"]
        ]  # fmt: skip
        masses = masses_of(text)
        changes = [
            {
                "rule": source_label(sources[row["source"]]),
                "change": row["change"],
                "log_change": row["log_change"],
                "causal_share": row["share"],
            }
            for row in text["ablations"]
        ]
        write_csv(arcs, here / "arcs.csv")
        write_csv(text["words"], here / "words.csv")
        write_csv(changes, here / "changes.csv")
        by_layer = [
            {"source": row["name"], **dict(zip(map(str, text["layers"]), row["shares"], strict=True))} for row in masses
        ]
        write_csv(by_layer, here / "mass.csv")
        for plot in (words_plot, mass_plot, changes_plot):
            plot(text).save(here)
