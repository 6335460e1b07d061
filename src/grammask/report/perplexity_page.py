"""The page of a perplexity run: results in, one HTML file out that fetches nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..files.write import write_csv, write_whole
from .figure import Picture
from .page import percent, render_page
from .perplexity_plots import DISTANCES, GROUPS, distance_plot, loss_row_name, tag_plot
from .recall_part import continuation_cells, recall_cells, recall_values
from .recall_plots import recall_cache_plot, recall_distance_plot


def write_perplexity_page(results: Mapping[str, Any], path: Path, *, kept: str = "") -> None:
    """Write the page as a whole or not at all; raises `ExperimentError`, with what is `kept`, when it cannot be."""
    write_whole(path, perplexity_page(results), kept=kept)


def perplexity_page(results: Mapping[str, Any]) -> str:
    """Return the page of `results` (the content of perplexity.json) as HTML."""
    return render_page(
        "perplexity.html.j2",
        **{**results, **recall_values(results.get("recall"))},
        findings=list(_findings(results)),
        plots={picture.name: picture.svg() for picture in _pictures(results)},
        row_name=loss_row_name,
        percent=percent,
        nats=_nats,
        groups=GROUPS,
        distances=DISTANCES,
    )


def write_perplexity_figures(results: Mapping[str, Any], folder: Path) -> None:
    """Write each figure as SVG and PNG, and the numbers behind them as CSV."""
    for picture in _pictures(results):
        picture.save(folder)
    write_csv(list(_cells(results)), folder / "perplexity.csv")
    recall = results.get("recall")
    if recall is not None and recall["rows"]:
        for picture in (recall_cache_plot(recall["rows"]), recall_distance_plot(recall["rows"])):
            picture.save(folder)
        write_csv(list(recall_cells(recall)), folder / "recall.csv")
        write_csv(list(continuation_cells(recall)), folder / "reading-on.csv")


def _pictures(results: Mapping[str, Any]) -> tuple[Picture, ...]:
    """Return the figures; without a row that is compared with full there is none."""
    rows = results["rows"]
    return (tag_plot(rows), distance_plot(rows)) if any(row["difference"] for row in rows) else ()


def _findings(results: Mapping[str, Any]) -> Iterator[str]:
    """Say in sentences how grammars compare with full and with their controls, as far as intervals show it."""
    for row in results["rows"]:
        if row["against"] is not None:
            names = row["against"]["difference_by_tag"].get("names")
            yield (
                f"{row['of']} {_verdict(row['against']['difference'])} {row['control']} of equal pairs"
                + (f"; on names it {_verdict(names)} it." if names else ".")
            )
        elif row["difference"] is not None:
            yield f"{row['name']} reads {percent(row['pairs'])} % of the pairs and {_verdict(row['difference'])} full."


def _verdict(found: Mapping[str, Any]) -> str:
    extent = _nats(found["mean"])
    if found["low"] is None:
        return f"differs by {extent} nats a token (one text, so without an interval) from"
    extent = f"{extent} nats a token, 95 % interval {_nats(found['low'])} to {_nats(found['high'])}"
    if found["low"] <= 0 <= found["high"]:
        return f"isn't shown to differ ({extent}) from"
    return f"is {'better' if found['mean'] < 0 else 'worse'} ({extent}) than"


def _nats(value: float) -> str:
    return f"{value:+.3f}"


def _cells(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row of the table of numbers for each row and stratum."""
    for row in results["rows"]:
        costs = {"row": row["name"], "pairs": row["pairs"], "cache": row["cache"]}
        for kind in ("tag", "distance"):
            differences = row[f"difference_by_{kind}"] or {}
            for name, found in row[f"loss_by_{kind}"].items():
                difference = differences.get(name) or {"mean": None, "low": None, "high": None}
                yield {**costs, "by": kind, "stratum": name, **found, **difference}
