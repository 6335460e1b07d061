"""Tables as CSV, in which what others wrote stays text when a spreadsheet opens it.

A cell that begins like a formula gets an apostrophe before it, as OWASP advises (CSV injection).
"""

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # only where tables are written
    import pandas as pd

_FORMULA: Final = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def csv_text(table: "pd.DataFrame") -> str:
    """Return `table` as CSV without its index; numbers, and text that is one, stay as they are."""
    safe = table.rename(columns=_as_text).map(_as_text)
    return str(safe.to_csv(index=False, lineterminator="\n"))


def _as_text(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    before = "'" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else ""
    return before + cell.replace("\r", "\\r")  # pandas doesn't quote it, and readers end a row at it
