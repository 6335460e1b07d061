"""The rows of a measurement of recall for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

from ..report.recall_part import KINDS, part_of
from ..report.recall_plots import distances_of


def recall_table(recall: Mapping[str, Any]) -> Group:
    """Return the rows as tables, intervals below their figures: facts that are copied, and the loss of reading on."""
    return Group(_copied(recall["rows"]), "", _read_on(recall["rows"]))


def _copied(rows: list[dict[str, Any]]) -> Table:
    distances = distances_of(rows)
    table = _table(
        ("cache", "copied", "to full", *KINDS.values(), *map(str, distances)),
        "Facts copied word by word, in % of the questions, with 95 % intervals: all, by kind, and by the tokens "
        "between fact and question. Keys are dropped never, before the question is known, or when it is.",
    )
    for row in rows:
        table.add_row(
            f"{row['name']}\n{row['moment']}",
            f"{100 * row['share']:.1f}",
            _share(row["exact"]),
            _points(row.get("difference", {}).get("exact")),
            *(_value(part_of(row["by_kind"], "kind", kind)) for kind in KINDS),
            *(_value(part_of(row["by_distance"], "target", distance)) for distance in distances),
        )
    return table


def _read_on(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        ("cache", "loss", "to full", "names", "to full"),
        "Reading on: the loss of the last quarter of the texts in nats a token, of all tokens and of proper names, "
        "with differences to full and their 95 % intervals over texts.",
    )
    for row in rows:
        found, to_full = row.get("continuation"), row.get("difference", {})
        if found is not None:
            table.add_row(
                f"{row['name']}\n{row['moment']}",
                f"{100 * found['share']:.1f}",
                f"{found['loss']:.4f}",
                _nats(to_full.get("continuation_loss")),
                "-" if found["name_loss"] is None else f"{found['name_loss']:.4f}",
                _nats(to_full.get("continuation_name_loss")),
            )
    return table


def _table(columns: tuple[str, ...], caption: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), caption=caption)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _value(found: Mapping[str, Any] | None) -> str:
    return "-" if found is None else f"{100 * found['value']:.0f}"


def _share(found: Mapping[str, Any]) -> str:
    low, high = (100 * side for side in found["interval"])
    return f"{_value(found)}\n{low:.0f}..{high:.0f}"


def _points(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    low, high = (100 * side for side in found["interval"])
    return f"{100 * found['value']:+.0f}\n{low:+.0f}..{high:+.0f}"


def _nats(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    low, high = found["interval"]
    return f"{found['value']:+.4f}\n{low:+.2f}..{high:+.2f}"
