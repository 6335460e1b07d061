"""The page of a model's adherence to a grammar, and its figures as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.write import write_csv
from .figure import Picture, heat_map, style
from .page import percent, points, render_page


def adherence_page(measured: Mapping[str, Any]) -> str:
    """Return the page of `Adherence.to_dict()` and what was measured on, as HTML."""
    plots = [_drawn(values, name, title) for name, (title, values) in _maps(measured).items()]
    return render_page(
        "adherence.html.j2", **measured, findings=_findings(measured), plots=plots, percent=percent, points=points
    )


def write_adherence_figures(measured: Mapping[str, Any], folder: Path) -> None:
    """Write each heat map as SVG, PNG and CSV, and the relations as CSV."""
    for name, (title, values) in _maps(measured).items():
        _drawn(values, name, title).save(folder)
        write_csv([{f"head {head}": value for head, value in enumerate(row)} for row in values], folder / f"{name}.csv")
    write_csv(measured["relations"], folder / "relations.csv")


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


def _drawn(values: list[list[float]], name: str, title: str) -> Picture:
    with style(name):
        figure = heat_map(
            values, rows=[f"layer {layer}" for layer in range(len(values))],
            columns=[str(head) for head in range(len(values[0]))], label="head",
        )  # fmt: skip
        return Picture(figure, name, title)


def _findings(measured: Mapping[str, Any]) -> list[str]:
    found = []
    for kind, difference in measured["differences"].items():
        low, high = difference["interval"]
        what = {"random": "random pairs", "window": "a window of the nearest words"}[kind]
        extent = f"{points(difference['value'])} points, 95 % interval {points(low)} to {points(high)}"
        verdict = "more" if low > 0 else "less" if high < 0 else "not shown to be more or less"
        found.append(f"Attention on what the grammar allows is {verdict} than on {what} of equal density ({extent}).")
    return found
