"""The page of a benchmark: its results in, one HTML file out that fetches nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.write import write_csv, write_whole
from .bench_plots import memory_plot, series_plot
from .bench_rows import (  # fmt: skip
    Row,
    by_series,
    contender_name,
    findings,
    has_run,
    mebibytes,
    milliseconds,
    not_run,
    slowest,
    times,
    warnings,
)
from .page import render_page


def write_bench_report(results: Mapping[str, Any], path: Path) -> None:
    """Write the page as a whole or not at all; raises `ExperimentError` when it cannot be written."""
    write_whole(path, render_bench_report(results), kept="the results are beside it")


def render_bench_report(results: Mapping[str, Any]) -> str:
    """Return the page of `results` (the content of bench.json) as HTML."""
    return render_page(
        "bench.html.j2",
        **results,
        findings=findings(results["rows"]),
        warnings=warnings(results),
        slowest=slowest(results["rows"]),
        not_run=not_run([*results["rows"], *results["memory"]]),
        series=[_drawn(name, rows, f"time{number}") for number, (name, rows) in _numbered(results["rows"])],
        memory_series=[
            {"name": name, "rows": rows, "plot": memory_plot(rows, f"memory{number}").svg()}
            for number, (name, rows) in _numbered(results["memory"])
        ],
        contender_name=contender_name,
        milliseconds=milliseconds,
        mebibytes=mebibytes,
        times=times,
    )


def _numbered(rows: Sequence[Row]) -> list[tuple[int, tuple[str, list[Row]]]]:
    """Return the series of rows that have at least one that ran, numbered for the ids of their figures."""
    series = by_series(rows).items()
    return list(enumerate((name, members) for name, members in series if any(has_run(row) for row in members)))


def _drawn(name: str, rows: Sequence[Row], figure: str) -> dict[str, Any]:
    plot = series_plot(rows, figure).svg()
    return {"name": name, "rows": [row for row in rows if has_run(row)], "plot": plot}


def write_bench_figures(results: Mapping[str, Any], folder: Path) -> None:
    """Write each figure as SVG and PNG, and the rows behind them as CSV."""
    for rows, plot, name in ((results["rows"], series_plot, "time"), (results["memory"], memory_plot, "memory")):
        for number, (_, members) in _numbered(rows):
            plot(members, f"{name}{number}").save(folder)
        write_csv(rows, folder / f"{name}.csv")
