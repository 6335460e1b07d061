"""The rows of a perplexity run for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def perplexity_table(results: Mapping[str, Any]) -> Table:
    """Return the rows as a table, intervals below their figures."""
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        caption="Loss in nats a token; differences to full, 95 % intervals over texts below. Pairs and keys of a cache "
        "that must be kept at the end of a text, in % of all.",
    )
    table.add_column("", no_wrap=True)
    for column in ("pairs", "cache", "loss", "to full", "names", "nouns", "verbs", "others"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in results["rows"]:
        by_tag = row["difference_by_tag"] or {}
        table.add_row(
            f"{row['control'] or row['name']}" + (f"\nof {row['of']}" if row["of"] else ""),
            f"{100 * row['pairs']:.1f}",
            f"{100 * row['cache']:.1f}",
            f"{row['loss']:.3f}",
            _difference(row["difference"]),
            *(_difference(by_tag.get(group)) for group in ("names", "nouns", "verbs", "others")),
        )
    return table


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    interval = "" if found["low"] is None else f"\n{found['low']:+.2f}\n{found['high']:+.2f}"
    return f"{found['mean']:+.3f}{interval}"
