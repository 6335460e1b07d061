"""Labels of a table: which spellings are one class, and which values are not a class."""

import re
import unicodedata
from collections.abc import Sequence, Set
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import TaskError
from ..printing import quoted

# JSON can hold half of a character; no file and no tagger can.
HALF_CHARACTER: Final = re.compile("[\ud800-\udfff]")
# Format characters, variation selectors, fillers and controls other than spaces: Unicode's Default_Ignorable_Code_Point
# and the few others that show nothing. Tag characters are visible where they spell a flag, so these are kept.
_INVISIBLE: Final = re.compile(
    "(\U0001f3f4[\U000e0020-\U000e007f]+)|"
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]"
)
_NUMBER: Final = re.compile(r"[+-]?([0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)")  # 01 and +1 are 1, as 1.0 is
_LARGEST: Final[int] = 2**53 - 1  # beyond it, JSON, Parquet and numpy may round two numbers to one


def read_labels(table: pd.DataFrame, column: str, origin: str) -> list[str]:
    """Return a column of labels as text; raises `TaskError` naming the row of what is missing or no class."""
    _refuse_mixed_booleans(table[column], f"{origin}: column {column!r}")
    return [_label(value, f"{origin}: row {row} (from 0)") for row, value in table[column].items()]


def _refuse_mixed_booleans(labels: "pd.Series[Any]", where: str) -> None:
    """Raise `TaskError` for booleans next to 1 or "true": only the author can tell whether these are one class."""
    others = [value for value in labels if not isinstance(value, bool | np.bool_) and not _missing(value)]
    if others and any(isinstance(value, bool | np.bool_) for value in labels):
        raise TaskError(f"{where} holds both booleans and {quoted(others[0])}; write its labels in one way")


def _missing(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and (pd.isna(value) or not str(value).strip()))


def _label(value: Any, where: str) -> str:
    """Return a label as text: numbers without a fraction, other labels in one spelling for all that look alike."""
    if isinstance(value, str):
        value = _normalised(value)
    if _missing(value):
        raise TaskError(f"{where}: the label is missing")
    if not isinstance(value, str | bool | int | float | np.generic):
        raise _no_class(value, where)
    if isinstance(value, str) and HALF_CHARACTER.search(value):
        raise TaskError(f"{where}: label {quoted(value)} holds half a character")
    if isinstance(value, bool | np.bool_) or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
        return str(value)
    return _whole(value, where)


def _normalised(text: str) -> str:
    shown = _INVISIBLE.sub(lambda found: found[1] or "", text)
    return " ".join(unicodedata.normalize("NFKC", shown).split())


def _whole(value: Any, where: str) -> str:
    """Return a whole number as text, exactly; raises `TaskError` for other numbers and for those that are too large."""
    try:
        number = Decimal(value.item() if isinstance(value, np.generic) else value)
    except (InvalidOperation, TypeError, ValueError) as error:  # an exponent of twenty digits; a date of Parquet
        raise TaskError(
            f"{where}: label {quoted(value)} is not a class; a label is a text or a whole number"
        ) from error
    if not number.is_finite() or number != number.to_integral_value():
        raise TaskError(f"{where}: label {quoted(value)} is not a class: grammask learns classes, not quantities")
    if number.adjusted() > 15 or abs(number) > _LARGEST:
        raise TaskError(
            f"{where}: label {quoted(value)} is too large for the number of a class, which is at most {_LARGEST:,}; "
            "give the class a name"
        )
    return str(int(number))


def _no_class(value: Any, where: str) -> TaskError:
    return TaskError(f"{where}: label {quoted(value)} is not a class; a label is a text or a whole number")


def sort_labels(labels: Set[str]) -> list[str]:
    """Sort labels: by number where all are whole numbers, else as text."""
    if all(_NUMBER.fullmatch(label) for label in labels):
        return sorted(labels, key=int)
    return sorted(labels)


def differ_in_case(labels: Sequence[str]) -> tuple[str, str] | None:
    """Return two labels that differ in upper and lower case only, None where there are none."""
    seen: dict[str, str] = {}
    for label in labels:
        if (other := seen.setdefault(label.lower(), label)) != label:  # casefold would take "ss" for the sharp s too
            return other, label
    return None
