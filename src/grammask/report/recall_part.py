"""What pages and files of numbers say of recall, in one order: copied, by kind, by distance, and reading on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .page import percent, points
from .recall_plots import distances_of, recall_cache_plot, recall_distance_plot, recall_row_name

KINDS: Final[Mapping[str, str]] = {"code": "codes", "name": "names", "date": "dates"}
_Row = Mapping[str, Any]


def recall_values(recall: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the template of recall is filled with; None for a run that measured none."""
    if recall is None or not recall["rows"]:
        return {"recall": None}
    rows = recall["rows"]
    return {
        "recall": recall,
        "recall_plots": [picture.svg() for picture in (recall_cache_plot(rows), recall_distance_plot(rows))],
        "recall_row_name": recall_row_name,
        "kinds": KINDS,
        "recall_distances": distances_of(rows),
        "part_of": part_of,
        "share": _share,
        "points": points,
        "finished_texts": max(row["texts"] for row in rows),
    }


def part_of(parts: Sequence[_Row], key: str, value: Any) -> _Row | None:
    """Return the part of a kind or a distance; None where a row has none of it."""
    return next((part for part in parts if part[key] == value), None)


def _share(found: _Row | None) -> tuple[str, str]:
    """Return a share in percent, and its interval."""
    if found is None:
        return "\u2013", ""
    low, high = found["interval"]
    return percent(found["value"]), f"{percent(low)} to {percent(high)}"


def recall_cells(recall: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row of the table of what was copied, for each method and stratum."""
    for row in recall["rows"]:
        difference = row.get("difference", {}).get("exact")
        yield _copied(row, "all", "all", row["exact"], difference)
        for by, key in (("kind", "kind"), ("distance", "target")):
            for part in row[f"by_{by}"]:
                yield _copied(row, by, part[key], part, None)


def _copied(row: _Row, by: str, stratum: object, found: _Row, difference: _Row | None) -> dict[str, Any]:
    low, high = found["interval"]
    costs = {"row": row["name"], "keys": row["moment"], "cache": row["share"], "by": by, "stratum": stratum}
    return {
        **costs, "copied": found["value"], "low": low, "high": high, "questions": found["questions"],
        **_to_full(difference),
    }  # fmt: skip


def continuation_cells(recall: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row of the table of losses of reading on, for each method that reads on: of all tokens, and of names."""
    for row in recall["rows"]:
        found, differences = row.get("continuation"), row.get("difference", {})
        for stratum, key in (("all", "loss"), ("names", "name_loss")):
            if found is not None and found[key] is not None:
                yield {
                    "row": row["name"], "keys": row["moment"], "cache": found["share"], "stratum": stratum,
                    "loss": found[key], **_to_full(differences.get(f"continuation_{key}")),
                }  # fmt: skip


def _to_full(found: _Row | None) -> dict[str, Any]:
    low, high = (None, None) if found is None else found["interval"]
    return {"difference": None if found is None else found["value"], "difference_low": low, "difference_high": high}
