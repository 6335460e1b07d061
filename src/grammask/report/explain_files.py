"""The figures of explained texts as files, and their numbers: nothing of it needs a browser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.write import write_csv, write_whole
from .arcs_svg import arcs_svg
from .explain_page import masses_of, spelled
from .explain_plots import changes_plot, mass_plot, words_plot


def write_figures(explained: Mapping[str, Any], folder: Path) -> None:
    """Write a folder for each text: arcs.svg, and words, mass and changes as SVG, PNG and CSV."""
    for number, text in enumerate(explained["texts"], start=1):
        here = folder / f"text{number}"
        write_whole(here / "arcs.svg", arcs_svg(text, f"text{number}").replace("currentColor", "#444", 1))
        arcs = [
            {
                "reader": text["words"][arc["query"]]["text"], "read": text["words"][arc["key"]]["text"],
                "source": spelled(text["sources"][arc["source"]]), "layer": layer, "head": head, "share": share,
            }
            for arc in text["arcs"]
            for layer, head, share in arc["heads"]
        ]  # fmt: skip
        masses = masses_of(text)
        changes = [
            {"rule": spelled(text["sources"][row["source"]]), "change": row["change"], "causal_share": row["share"]}
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
