"""Which key-value heads of a layer share one call of attention, though they keep different numbers of keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_CALL: Final[int] = 256  # slots that may stand empty for one call less


@dataclass(frozen=True)
class Part:
    """Key-value heads from `first` on that are read together: `size` slots each from `begin` on, behind each other.

    `distinct` are the runs of the heads, or the one that all have. A head's slots begin with its run's; those behind a
    shorter run's hold nothing.
    """

    distinct: tuple[int, ...]
    first: int
    count: int
    begin: int
    size: int


def join_heads(runs: Sequence[int], kept: Sequence[int], room: int) -> list[Part]:
    """Return the parts of heads that have these runs and keep so many keys, with room for more behind.

    Of all ways to cut the heads into parts, the one with the fewest slots, where each part counts `_CALL` more.
    """
    best: list[tuple[int, int]] = [(0, 0)]  # for the first heads: slots, and where their last part begins
    for end in range(1, len(runs) + 1):
        best.append(min((best[first][0] + _slots(kept[first:end], room) + _CALL, first) for first in range(end)))
    cuts = [len(runs)]
    while cuts[-1]:
        cuts.append(best[cuts[-1]][1])
    parts, begin = [], 0
    for end, first in zip(cuts[-2::-1], cuts[:0:-1], strict=True):
        own, size = tuple(runs[first:end]), max(kept[first:end]) + room
        parts.append(Part(own if len({*own}) > 1 else own[:1], first, len(own), begin, size))
        begin += len(own) * size
    return parts


def _slots(kept: Sequence[int], room: int) -> int:
    return len(kept) * (max(kept) + room)
