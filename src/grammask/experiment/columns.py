"""Columns of a table: which ones hold text and label."""

import re
from typing import Any, Final

import pandas as pd

from ..errors import TaskError
from .labels import HALF

_TEXT: Final[tuple[str, ...]] = ("sentence", "text", "sentence1", "premise", "question", "review", "content")
# Pairs as well-known tasks call them, the first text first; found before a text alone.
_PAIRS: Final[tuple[tuple[str, str], ...]] = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence"),
    ("question", "passage"), ("question", "context"), ("question", "answer"), ("text", "text_pair"),
    ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("sentence_A", "sentence_B"),
    ("query", "passage"), ("query", "document"), ("claim", "evidence"),
)  # fmt: skip
_LABEL: Final[tuple[str, ...]] = ("label", "labels", "target", "class")
# Columns that are texts whatever their cells look like: a choice or a word may be one word long.
_TEXT_NAME: Final = re.compile(
    "(sentence|text|premise|hypothesis|question|review|content|passage|context|answer|query|document|claim|evidence|title|"
    "choice|option|word|phrase|body|paragraph|summary|target_text|utterance|comment|description|headline|abstract)"
    "s?([ _-]?(pair|[0-9]+|[a-eA-E]))?"
)
_WORD: Final = re.compile(r"[^\W\d_]")
_PROSE = re.compile(r"[^\W\d_]\S*\s+[^\W\d_]\S*\s+[^\W\d_]")  # three words and more

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
    if text is None and pair is None:
        text, pair = next((both for both in _PAIRS if all(column in table for column in both)), (None, None))
    text = text or next((column for column in _TEXT if column in table), None)
    label = label or next((column for column in _LABEL if column in table), None)
    if text is None:
        raise TaskError(f"{origin}: which column holds the text? Name it with --text-column; columns are: {there}")
    if label is None:
        raise TaskError(f"{origin}: which column holds the label? Name it with --label-column; columns are: {there}")
    used = [column for column in (text, pair, label) if column is not None]
    if len(set(used)) < len(used):
        raise TaskError(f"{origin}: one column is used twice: {', '.join(used)}")
    if asked[0] is None:
        _refuse_other_texts(table, origin, text, pair, label)
    return text, pair, label


def _refuse_other_texts(table: pd.DataFrame, origin: str, text: str, pair: str | None, label: str) -> None:
    """Raise `TaskError` for a text that would not be read: a model cannot learn from what it doesn't see."""
    others = [
        column
        for column in table.columns
        if column not in (text, pair, label) and _holds_text(table[column], named=bool(_TEXT_NAME.fullmatch(column)))
    ]
    if others:
        read = repr(text) if pair is None else f"{text!r} and {pair!r}"
        raise TaskError(
            f"{origin}: column {others[0]!r} holds texts too, but {read} would be read; name what to read with "
            "--text-column and, for pairs, --pair-column"
        )


def _holds_text(cells: "pd.Series[Any]", *, named: bool) -> bool:
    """Tell whether most cells are prose, not all the same; or any word at all, where the name is that of a text."""
    strings = [value for value in cells if isinstance(value, str)]
    if named:
        return any(_WORD.search(value) for value in strings)
    return sum(map(bool, map(_PROSE.search, strings))) > len(cells) / 2 and len(set(strings)) > 1


def read_texts(table: pd.DataFrame, column: str, origin: str) -> tuple[str, ...]:
    """Return a column of texts; raises `TaskError` naming the row of anything else."""
    for row, value in table[column].items():
        if not isinstance(value, str):
            raise TaskError(f"{origin}: row {row} (from 0): column {column!r} holds {value!r}, which is no text")
        if HALF.search(value):
            raise TaskError(f"{origin}: row {row} (from 0): column {column!r} holds half a character: {value!r}")
    return tuple(table[column])


def describe(columns: FoundColumns) -> str:
    """Say in words which columns are read."""
    text, pair, label = columns
    return f"text from {text!r}" + (f" and {pair!r}" if pair else "") + f", label from {label!r}"
