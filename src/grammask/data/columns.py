"""Columns of a table: which of them hold the text, the second text and the label."""

import re
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import TaskError
from .labels import HALF_CHARACTER

_TEXT: Final[tuple[str, ...]] = ("sentence", "text", "sentence1", "premise", "question", "review", "content")
# Pairs as well-known tasks name them, the first text first. They are looked for before a single text.
_PAIRS: Final[tuple[tuple[str, str], ...]] = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence"),
    ("question", "passage"), ("question", "context"), ("question", "answer"), ("text", "text_pair"),
    ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"),
    ("query", "passage"), ("query", "document"), ("claim", "evidence"),
)  # fmt: skip
_LABEL: Final[tuple[str, ...]] = ("label", "labels", "target", "class")
# Columns of these names hold texts whatever their cells look like: a choice or a word may be one word long.
_TEXT_NAME: Final = re.compile(
    "(sentence|text|premise|hypothesis|question|review|content|passage|context|answer|query|document|claim|evidence|title|"
    "choice|option|word|phrase|body|paragraph|summary|target_text|utterance|comment|description|headline|abstract|"
    "reply|response|aspect|prompt|message|story|ending|translation|statement|argument|post|tweet)"
    "s?([ _-]?(pair|[0-9]+|[a-e]))?"
)
_ID_NAME: Final = re.compile("(.*[ _-])?(id|idx|uid|guid|uuid|url)")
_WORD: Final = re.compile(r"[^\W\d_]")
_NO_LETTER: Final = re.compile(r"[\s\d!-/:-@\[-`{-~]+")  # vowel signs count as letters: Hindi needs them
_LONG: Final[int] = 12  # letters

# The text, pair and label column: as asked for, and as found.
Columns = tuple[str | None, str | None, str | None]
FoundColumns = tuple[str, str | None, str]


def find_columns(table: pd.DataFrame, origin: str, asked: Columns) -> FoundColumns:
    """Find the text, pair and label column; raises `TaskError` naming the columns that are there."""
    there = ", ".join(table.columns)
    for column in asked:
        if column is not None and column not in table:
            raise TaskError(f"{origin} has no column {column!r}; its columns are: {there}")
    text, pair, label = asked
    names = _by_usual_name(table)
    if text is None and pair is None:
        usual = next((both for both in _PAIRS if names.keys() >= {*both}), None)
        text, pair = (names[usual[0]], names[usual[1]]) if usual else (None, None)
    text = text or next((names[name] for name in _TEXT if name in names), None)
    label = label or next((names[name] for name in _LABEL if name in names), None)
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


def _by_usual_name(table: pd.DataFrame) -> dict[str, str]:
    """Return the columns by their names in lower case; of two equal names, the one in lower case or the first."""
    folded = {column.strip().casefold(): column for column in reversed(table.columns)}
    return folded | {column: column for column in table.columns if column in folded}


def _refuse_other_texts(table: pd.DataFrame, origin: str, text: str, pair: str | None, label: str) -> None:
    """Raise `TaskError` for other columns of texts, which would not be read."""
    others = [
        column for column in table.columns if column not in (text, pair, label) and _is_text(column, table[column])
    ]
    if others:
        read = repr(text) if pair is None else f"{text!r} and {pair!r}"
        raise TaskError(
            f"{origin}: column {others[0]!r} holds texts too, but {read} would be read; name what to read with "
            "--text-column and, for pairs, --pair-column"
        )


def _is_text(name: str, cells: "pd.Series[Any]") -> bool:
    """Tell whether a column holds texts: a word under the name of a text, or free text under any name but an id's."""
    name = name.strip().casefold()
    if _TEXT_NAME.fullmatch(name):
        return any(_WORD.search(_strings(cell)) for cell in cells)
    return not _ID_NAME.fullmatch(name) and _is_free_text([_strings(cell) for cell in cells])


def _is_free_text(cells: list[str]) -> bool:
    """Tell whether most cells are mostly letters, and these mostly differ or are long; categories are few and short."""
    lengths = {cell: len(_NO_LETTER.sub("", cell)) for cell in set(cells)}
    wordy = [cell for cell in cells if 3 * lengths[cell] > 2 * len("".join(cell.split()))]
    different = set(wordy)
    if 2 * len(wordy) <= len(cells) or len(different) < 2:
        return False
    return 2 * len(different) > len(wordy) or sum(map(lengths.__getitem__, different)) >= _LONG * len(different)


def _strings(cell: Any) -> str:
    """Return all strings in a cell, however deep in its lists and objects."""
    found: list[str] = []
    waiting = [cell]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
            waiting.extend(value)
    return " ".join(found)


def read_texts(table: pd.DataFrame, column: str, origin: str) -> tuple[str, ...]:
    """Return a column of texts; raises `TaskError` naming the row of anything else."""
    for row, value in table[column].items():
        if not isinstance(value, str):
            raise TaskError(f"{origin}: row {row} (from 0): column {column!r} holds {value!r}, which is not a text")
        if HALF_CHARACTER.search(value):
            raise TaskError(f"{origin}: row {row} (from 0): column {column!r} holds half a character: {value!r}")
    return tuple(table[column])


def describe_columns(columns: FoundColumns, table: pd.DataFrame) -> str:
    """Say in words which columns are read, and which are not."""
    text, pair, label = columns
    unread = ", ".join(repr(column) for column in table.columns if column not in columns)
    read = f"text from {text!r}" + (f" and {pair!r}" if pair else "") + f", label from {label!r}"
    return read + (f"; not read: {unread}" if unread else "")
