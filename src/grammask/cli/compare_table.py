"""The summary of a comparison for the terminal."""

from typing import Any

from rich.table import Table


def summary_table(results: dict[str, Any]) -> Table:
    """Return the summary as a table that fits 80 columns, intervals below their figures."""
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        caption="Accuracy, density and FLOPs in %, differences in points, 95 % intervals below. FLOPs count allowed "
        "pairs only: short texts take the dense path, which computes every pair, so seconds need not fall with them.",
    )
    table.add_column("", no_wrap=True)
    for column in ("accuracy", "to full", "MCC", "density", "attn.\nFLOPs", "model\nFLOPs", "training\nseconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in results["summary"]:
        low, high = row["accuracy_interval"]
        difference = "-"
        if row["difference"] is not None:
            least, most = row["difference_interval"]
            difference = f"{100 * row['difference']:+.1f}\n{100 * least:+.1f}..{100 * most:+.1f}"
        table.add_row(
            f"{_kind(row)}\n{row['grammar'] or ''}",
            f"{100 * row['accuracy']:.1f}\n{100 * low:.1f}..{100 * high:.1f}",
            difference,
            f"{row['matthews']:.3f}",
            f"{100 * row['density']:.1f}",
            f"{100 * row['attention_flops_relative']:.1f}",
            f"{100 * row['model_flops_relative']:.1f}",
            f"{row['training_seconds']:.0f}",
        )
    return table


def _kind(row: dict[str, Any]) -> str:
    kind: str = row["control"] or row["adaptation"] or row["strategy"]
    return kind if row["attention"] is None else f"{kind}, {row['attention']}"
