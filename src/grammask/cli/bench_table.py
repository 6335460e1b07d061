"""The tables of a benchmark on the terminal, within 80 columns."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ..report.bench_rows import (
    Row,
    by_series,
    contender_name,
    has_run,
    mebibytes,
    milliseconds,
    slowest,
    times,
    warnings,
)


def bench_tables(results: Mapping[str, Any]) -> Iterator[Table | Text]:
    """Yield one table for each series, then memory, what could not run, and what must not be trusted."""
    for name, rows in by_series(results["rows"]).items():
        if any(has_run(row) for row in rows):
            yield _times(name, [row for row in rows if has_run(row)])
    if (worst := slowest(results["rows"])) is not None:
        yield Text(f"{worst}\n")
    yield Text(
        "Speed-up: full / own seconds, median over rounds. Ideal: pairs that full computes / those that it must; "
        "for whole models, if what is above no attention fell to their share. Planning happens once for all layers.\n"
    )
    for name, rows in by_series(results["memory"]).items():
        if any(has_run(row) for row in rows):
            yield _memory(name, [row for row in rows if has_run(row)])
    everything = [*results["rows"], *results["memory"]]
    if not all(has_run(row) for row in everything):
        yield _missing(everything)
    for sentence in warnings(results):
        yield Text(sentence, style="bold red")


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title=Text(title), title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 1 else "right", no_wrap=True)
    return table


def _times(name: str, rows: list[Row]) -> Table:
    table = _table(name, "tokens", "", "ms", "speed-up", "ideal", "% of\nideal", "planning\nms", "compile\ns")
    length = None
    for row in rows:
        ideal, share, compiling = row["ideal"], row["share_of_ideal"], row.get("compile_seconds")
        table.add_row(
            "" if row["length"] == length else f"{row['length']:,}",
            contender_name(row),
            milliseconds(row["median_seconds"]),
            times(row["speedup"]),
            "-" if ideal is None else times(ideal),
            "-" if share is None else f"{100 * share:.0f}",
            milliseconds(row.get("planning_seconds")),
            "-" if compiling is None else f"{compiling:.1f}",
        )
        length = row["length"]
    return table


def _memory(name: str, rows: list[Row]) -> Table:
    table = _table(f"memory in MiB: {name}", "tokens", "", "planning", "held", "attention", "whole peak")
    for row in rows:
        figures = (row[key] for key in ("planning_bytes", "held_bytes", "attention_bytes", "peak_bytes"))
        table.add_row(f"{row['length']:,}", contender_name(row), *map(mebibytes, figures))
    return table


def _missing(rows: list[Row]) -> Table:
    """Say what could not run and why, with equal reasons as one; the page names the cases."""
    counts = Counter((contender_name(row), str(row["reason"])) for row in rows if not has_run(row))
    table = Table(box=None, title="Not run", title_justify="left", title_style="bold", show_header=False)
    for (name, reason), count in counts.items():
        table.add_row(Text(f"{name}: {reason} ({count} {'case' if count == 1 else 'cases'})"))
    return table
