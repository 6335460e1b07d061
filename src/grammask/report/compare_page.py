"""The page of a comparison: results in, one HTML file out that fetches nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.write import write_csv, write_whole
from .compare_plots import accuracy_plot, cost_plot, kept_plot, row_name
from .figure import Picture
from .page import percent, points, render_page


def write_report(results: Mapping[str, Any], path: Path, *, kept: str = "") -> None:
    """Write the report as a whole or not at all; raises `ExperimentError`, with what is `kept`, when it cannot be."""
    write_whole(path, render_report(results), kept=kept)


def render_report(results: Mapping[str, Any]) -> str:
    """Return the report of `results` (the content of results.json) as HTML."""
    rows = results["summary"]
    return render_page(
        "compare.html.j2",
        **results,
        findings=[finding(row) for row in rows if row["difference"] is not None],
        plots={picture.name: picture.svg() for picture in _pictures(rows)},
        row_name=row_name,
        percent=percent,
        interval=_interval,
        points=points,
    )


def write_compare_figures(results: Mapping[str, Any], folder: Path) -> None:
    """Write each figure as SVG and PNG, and the rows behind them as CSV."""
    for picture in _pictures(results["summary"]):
        picture.save(folder)
    write_csv(results["summary"], folder / "summary.csv")


def _pictures(rows: Sequence[Mapping[str, Any]]) -> tuple[Picture, ...]:
    return accuracy_plot(rows), kept_plot(rows), cost_plot(rows)


def finding(row: Mapping[str, Any]) -> str:
    """Say in a sentence how a row compares with full attention, as far as its interval shows it."""
    low, high = row["difference_interval"]
    extent = f"{points(row['difference'])} points, 95 % interval {points(low)} to {points(high)}"
    if low <= 0 <= high:
        return f"{row_name(row)}: no difference to full attention could be shown ({extent})."
    return f"{row_name(row)} is {'below' if high < 0 else 'above'} full attention ({extent})."


def _interval(bounds: Sequence[float]) -> str:
    low, high = bounds
    return f"{100 * low:.1f} to {100 * high:.1f}"
