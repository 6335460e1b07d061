"""The rows of a measurement of recall for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def recall_table(recall: Mapping[str, Any]) -> Table:
    """Return the rows as a table, intervals below their figures."""
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        caption="Facts copied word by word, in % of the questions, by the tokens between fact and question, with "
        "95 % intervals; then the loss of the last quarter of the texts, in nats a token, and its difference to full. "
        "Keys are dropped never, before the question is known, or when it is.",
    )
    table.add_column("")
    for column in ("keys", "cache", "copied", *map(str, recall["settings"]["distances"]), "loss", "to full", "names"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in recall["rows"]:
        continuation, to_full = row.get("continuation"), row.get("difference", {})
        table.add_row(
            row["name"],
            row["moment"],
            f"{100 * row['share']:.1f}",
            _share(row["exact"]),
            *(f"{100 * part['value']:.0f}" for part in row["by_distance"]),
            "-" if continuation is None else f"{continuation['loss']:.4f}",
            _difference(to_full.get("continuation_loss")),
            _difference(to_full.get("continuation_name_loss")),
        )
    return table


def _share(found: Mapping[str, Any]) -> str:
    low, high = (100 * side for side in found["interval"])
    return f"{100 * found['value']:.0f}\n{low:.0f}..{high:.0f}"


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    low, high = found["interval"]
    return f"{found['value']:+.4f}\n{low:+.2f}..{high:+.2f}"
