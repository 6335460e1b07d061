"""What a model's own mask says beside padding: causality, and a window of tokens around each query.

Pairs are told apart by their places in the padded batch. Queries may be the end of longer keys, as with a key-value
cache: query i of m stands at the place of key n - m + i.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..printing import quoted
from .inputs import check_whole

_FARTHEST: Final[int] = (1 << 28) - 1  # tokens of a window to either side


@dataclass(frozen=True)
class PositionMask:
    """Which keys the places alone let a query read: those not after it (`causal`), and those within its `window`.

    `window` is (left, right), in tokens beside the query's own; None: any distance. Both are ANDed. A query always
    reads itself.
    """

    causal: bool = False
    window: tuple[int, int] | None = None

    @property
    def left(self) -> int | None:
        """How many tokens before itself a query may read; None: all."""
        return None if self.window is None else self.window[0]

    @property
    def right(self) -> int | None:
        """How many tokens after itself a query may read; None: all."""
        if self.causal:
            return 0
        return None if self.window is None else self.window[1]

    @property
    def is_free(self) -> bool:
        """Whether every pair may be read."""
        return self.left is None and self.right is None

    @property
    def is_windowed(self) -> bool:
        """Whether a query may read no more tokens than its window has, however long the text is."""
        return self.window is not None

    def allowed(self, queries: int, keys: int, device: torch.device) -> Tensor:
        """Return the pairs that may be read: bool (queries, keys)."""
        places = torch.arange(keys, dtype=torch.int64, device=device)
        return self.between(places[keys - queries :], places)

    def between(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return the same for queries and keys at these places: bool (queries, keys)."""
        offset = keys - queries[:, None]
        allowed = torch.ones_like(offset, dtype=torch.bool)
        if self.left is not None:
            allowed &= offset >= -self.left
        if self.right is not None:
            allowed &= offset <= self.right
        return allowed

    def bounds(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each of some tokens the first of them that it may read, and the one beyond the last.

        `places` (tokens,) are ascending; what is returned are indices of it.
        """
        first, beyond = np.zeros_like(places), np.full_like(places, len(places))
        if self.left is not None:
            first = np.searchsorted(places, places - self.left, side="left")
        if self.right is not None:
            beyond = np.searchsorted(places, places + self.right, side="right")
        return first, beyond


FREE: Final = PositionMask()


def check_position_mask(causal: object, window: object) -> PositionMask:
    """Return the mask of a call's arguments; raise `InputError` for what is none."""
    if not isinstance(causal, bool):
        raise InputError(f"causal must be True or False, but is {quoted(causal)}")
    if window is None:
        return PositionMask(causal)
    if not isinstance(window, tuple | list) or len(window) != 2:
        raise InputError(
            f"window must be (left, right), the tokens that a query may read to either side, but is {quoted(window)}"
        )
    left, right = (check_whole("each side of window", side, lowest=0, highest=_FARTHEST) for side in window)
    return PositionMask(causal, (left, right))
