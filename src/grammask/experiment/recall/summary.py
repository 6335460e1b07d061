"""Rows of a measurement of recall: exact match with Wilson's intervals, differences to full paired by text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from ...resampling import Floats, estimate
from .methods import FULL

Record = Mapping[str, Any]


def summarise_recall(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row for each method, in order of first appearance."""
    rows: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        rows.setdefault((record["name"], record["moment"]), {})[record["text"]] = record
    full = next((texts for (name, _), texts in rows.items() if name == FULL), {})
    return [_row(texts, full) for texts in rows.values()]


def _row(texts: Mapping[str, Record], full: Mapping[str, Record]) -> dict[str, Any]:
    first = next(iter(texts.values()))
    answers = [answer for record in texts.values() for answer in record["answers"]]
    row = {
        "name": first["name"],
        "moment": first["moment"],
        "texts": len(texts),
        "share": float(np.mean([record["share"] for record in texts.values()])),
        "exact": _match(answers),
        "by_kind": _by(answers, "kind"),
        "by_distance": _by(answers, "target"),
        "loss": float(np.mean([answer["loss"] for answer in answers])),
        "seconds": float(np.median([record["seconds"] for record in texts.values()])),
    }
    if "continuation" in first:
        row["continuation"] = {"share": float(np.mean([record["continuation"]["share"] for record in texts.values()]))}
        row["continuation"] |= {key: _pooled(texts.values(), key) for key in ("loss", "name_loss")}
    shared = [text for text in texts if text in full]
    if first["name"] != FULL and shared:
        row["difference"] = _differences([texts[text] for text in shared], [full[text] for text in shared])
    return row


def _match(answers: Sequence[Record]) -> dict[str, Any]:
    """Return the share of exact answers, and Wilson's interval at 95 %."""
    right = sum(answer["exact"] for answer in answers)
    low, high = proportion_confint(right, len(answers), method="wilson")
    return {"value": right / len(answers), "interval": [float(low), float(high)], "questions": len(answers)}


def _by(answers: Sequence[Record], key: str) -> list[dict[str, Any]]:
    values = sorted({answer[key] for answer in answers}, key=str if key == "kind" else None)
    return [{key: value, **_match([answer for answer in answers if answer[key] == value])} for value in values]


def _differences(row: Sequence[Record], full: Sequence[Record]) -> dict[str, Any]:
    """Return what a row has more than full, with intervals of a bootstrap over texts."""
    found = {key: _difference(row, full, _answers_of(key)) for key in ("exact", "loss")}
    if "continuation" in row[0]:
        for key in ("loss", "name_loss"):
            found[f"continuation_{key}"] = _difference(row, full, _continuation_of(key))
    return {key: value for key, value in found.items() if value is not None}


# From a record to a sum and how many it is a sum of.
_Figure = Callable[[Record], tuple[float, float]]


def _answers_of(key: str) -> _Figure:
    return lambda record: (sum(answer[key] for answer in record["answers"]), len(record["answers"]))


def _continuation_of(key: str) -> _Figure:
    def figure(record: Record) -> tuple[float, float]:
        part = record["continuation"]
        tokens = part["tokens" if key == "loss" else "name_tokens"]
        return (part[key] or 0.0) * tokens, tokens

    return figure


def _difference(row: Sequence[Record], full: Sequence[Record], figure: _Figure) -> dict[str, Any] | None:
    """Return the difference of two rows' means over all that their texts hold; None where these hold nothing."""
    sums = np.array([[figure(record) for record in records] for records in (row, full)], dtype=np.float64)
    if not sums[..., 1].sum():
        return None

    def statistic(times: Floats) -> Floats:
        weighed = times @ sums  # (2, draws, 2)
        means = weighed[..., 0] / np.maximum(weighed[..., 1], 1)
        difference: Floats = means[0] - means[1]
        return difference

    return estimate(statistic, len(row))


def _pooled(records: Iterable[Record], key: str) -> float | None:
    """Return the mean loss over the tokens of all texts."""
    sums = np.array([_continuation_of(key)(record) for record in records]).sum(0)
    return float(sums[0] / sums[1]) if sums[1] else None
