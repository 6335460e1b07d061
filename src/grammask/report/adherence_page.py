"""The page of a model's adherence to a grammar, and its figures as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from ..files import write_whole
from .figures import heat_map, save_figure, style, svg
from .page import percent, points, render_page


def adherence_page(measured: Mapping[str, Any]) -> str:
    """Return the page of `Adherence.to_dict()` and what was measured on, as HTML."""
    plots = {}
    for name, (title, values) in _maps(measured).items():
        with style(name):
            plots[name] = {"title": title, "svg": Markup(svg(_drawn(values), name, title))}  # noqa: S704 - our own SVG
    return render_page(
        "adherence.html.j2", **measured, findings=_findings(measured), plots=plots, percent=percent, points=points
    )


def write_adherence_figures(measured: Mapping[str, Any], folder: Path) -> None:
    """Write each heat map as SVG, PNG and CSV, and the relations as CSV."""
    for name, (_, values) in _maps(measured).items():
        with style(name):
            save_figure(_drawn(values), folder / name)
        _write_csv(pd.DataFrame(values), folder / f"{name}.csv")
    _write_csv(pd.DataFrame(measured["relations"]), folder / "relations.csv")


def _maps(measured: Mapping[str, Any]) -> dict[str, tuple[str, list[list[float]]]]:
    shares = measured["shares"]
    beyond = [
        [one - other for one, other in zip(*rows, strict=True)]
        for rows in zip(shares["grammar"], shares["window"], strict=True)
    ]
    return {
        "adherence": ("attention between words that the grammar allows, %", shares["grammar"]),
        "beyond": ("the same, less a window of equal density, points", beyond),
        "entropy": ("entropy over the allowed keys, % of an even spread", measured["entropy"]),
    }


def _drawn(values: list[list[float]]) -> Figure:
    return heat_map(
        values, rows=[f"layer {layer}" for layer in range(len(values))],
        columns=[str(head) for head in range(len(values[0]))], label="head",
    )  # fmt: skip


def _findings(measured: Mapping[str, Any]) -> list[str]:
    found = []
    for kind, difference in measured["differences"].items():
        low, high = difference["interval"]
        what = {"random": "random pairs", "window": "a window of the nearest words"}[kind]
        extent = f"{points(difference['value'])} points, 95 % interval {points(low)} to {points(high)}"
        verdict = "more" if low > 0 else "less" if high < 0 else "not shown to be more or less"
        found.append(f"Attention on what the grammar allows is {verdict} than on {what} of equal density ({extent}).")
    return found


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    write_whole(path, str(table.to_csv(index=False, lineterminator="\n")))
