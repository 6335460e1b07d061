"""The parts of a layer's work, one call of FlexAttention each: no pair is in two of them, so they merge exactly."""

from typing import Final, NamedTuple

from ...grammar.rules import Strategy
from ..backends import Reaches
from ..position_mask import PositionMask


class Part(NamedTuple):
    """Which pairs a call reads: what `document` reach allows, what `bounded` reaches and a token's own word do.

    One with bounded reaches takes tokens in reading order, so that few blocks lie within reach of each other; any other
    sorts them by tag, so that few tags share a block. `soft` reads all pairs.
    """

    document: bool = False
    bounded: bool = False
    own: bool = False
    soft: bool = False

    @property
    def is_sorted(self) -> bool:
        """Whether tokens are sorted by tag."""
        return not (self.bounded or self.soft)


_SOFT: Final = Part(soft=True)
_WHOLE: Final = Part(document=True, bounded=True, own=True)
_DOCUMENT: Final = Part(document=True, own=True)
_FAR: Final = Part(document=True)
_NEAR: Final = Part(bounded=True, own=True)


def parts_for(strategy: Strategy, reaches: Reaches, position: PositionMask) -> tuple[Part, ...]:
    """Return the calls of a layer, by the reaches of its rules and the model's own mask."""
    if strategy == "soft":
        return (_SOFT,)
    if position.is_windowed or reaches == "bounded":
        return (_WHOLE,)
    return (_DOCUMENT,) if reaches == "document" else (_NEAR, _FAR)
