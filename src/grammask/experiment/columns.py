"""Columns of a table: which ones hold text and label, and what their cells must be."""

import re
from collections.abc import Set
from typing import Any, Final

import pandas as pd

from ..errors import TaskError

_TEXT: Final[tuple[str, ...]] = ("sentence", "text", "sentence1", "premise", "question", "review", "content")
_PAIR: Final[dict[str, str]] = {"sentence1": "sentence2", "premise": "hypothesis"}
_LABEL: Final[tuple[str, ...]] = ("label", "labels", "target", "class")
_HALF = re.compile("[\ud800-\udfff]")  # JSON can spell half of a character, which no file and no tagger can hold
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

# Text, pair and label column: as asked for, and as found.
Columns = tuple[str | None, str | None, str | None]
FoundColumns = tuple[str, str | None, str]


def find_columns(table: pd.DataFrame, origin: str, asked: Columns) -> FoundColumns:
    """Find the text, pair and label column; raises `TaskError` naming the columns that are there."""
    there = ", ".join(table.columns)
    for column in asked:
        if column is not None and column not in table:
            raise TaskError(f"{origin} has no column {column!r}; its columns are: {there}")
    text, pair, label = asked
    text = text or next((column for column in _TEXT if column in table), None)
    label = label or next((column for column in _LABEL if column in table), None)
    if text is None:
        raise TaskError(f"{origin}: which column holds the text? Name it with --text-column; columns are: {there}")
    if label is None:
        raise TaskError(f"{origin}: which column holds the label? Name it with --label-column; columns are: {there}")
    if pair is None and asked[0] is None and _PAIR.get(text) in table:
        pair = _PAIR[text]
    used = [column for column in (text, pair, label) if column is not None]
    if len(set(used)) < len(used):
        raise TaskError(f"{origin}: one column is used twice: {', '.join(used)}")
    return text, pair, label


def read_texts(table: pd.DataFrame, column: str, origin: str) -> tuple[str, ...]:
    """Return a column of texts; raises `TaskError` naming the row of anything else."""
    for row, value in table[column].items():
        if not isinstance(value, str):
            raise TaskError(f"{origin}: row {row} (from 0): column {column!r} holds {value!r}, which is no text")
        if _HALF.search(value):
            raise TaskError(f"{origin}: row {row} (from 0): column {column!r} holds half a character: {value!r}")
    return tuple(table[column])


def read_labels(table: pd.DataFrame, column: str, origin: str) -> list[str]:
    """Return a column of labels as text; raises `TaskError` naming the row of a missing or fractional one."""
    return [_label(value, f"{origin}: row {row} (from 0)") for row, value in table[column].items()]


def _label(value: Any, where: str) -> str:
    """Return a label as text: whole numbers without a fraction, other text as it is."""
    if pd.api.types.is_scalar(value) and (pd.isna(value) or not str(value).strip()):
        raise TaskError(f"{where}: the label is missing")
    if not isinstance(value, str | bool | int | float):
        raise TaskError(f"{where}: label {value!r} is no class; a label is a text or a whole number")
    if isinstance(value, float) or (isinstance(value, str) and _DECIMAL.fullmatch(value)):
        number = float(value)
        if not number.is_integer():
            raise TaskError(f"{where}: label {value!r} is no class: grammask learns classes, not quantities")
        return str(int(number))
    return str(value)


def in_order(labels: Set[str]) -> list[str]:
    """Sort labels: by number where all are whole numbers, else as text."""
    if all(_WHOLE.fullmatch(label) for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)
