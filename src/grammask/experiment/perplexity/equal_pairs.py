"""Finding the size of a control that gives it the pairs of its grammar."""

from collections.abc import Callable
from typing import Final

CLOSE: Final[float] = 0.003  # of the pairs that are wanted
_TRIES: Final[int] = 24


def match_size(
    share: Callable[[float], float], wanted: float, *, low: float, high: float, whole: bool = False
) -> float:
    """Return the size from `low` to `high` whose share of pairs, which grows with it, is nearest to the wanted one.

    With `whole`, sizes are whole numbers.
    """
    found: dict[float, float] = {}
    for _ in range(_TRIES):
        middle = (low + high) // 2 if whole else (low + high) / 2
        if middle not in found:
            found[middle] = share(middle)
        if abs(found[middle] - wanted) <= CLOSE * wanted or high - low <= (1 if whole else 0):
            break
        low, high = (middle, high) if found[middle] < wanted else (low, middle)
    if whole and high not in found:
        found[high] = share(high)
    return min(found, key=lambda size: abs(found[size] - wanted))
