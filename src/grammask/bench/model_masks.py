"""The mask of a model's own that an operator case is under, by its name, and how many pairs it leaves."""

import numpy as np

from ..attention.position_mask import FREE, PositionMask
from .settings import CAUSAL, NO_MASK, WINDOW


def read_mask(name: str) -> PositionMask:
    """Return the mask of a name that `BenchConfig` takes; a window is to both sides, or before a causal query."""
    if name == NO_MASK:
        return FREE
    causal = name.startswith(CAUSAL)
    if WINDOW not in name:
        return PositionMask(causal)
    side = int(name.rsplit("-", 1)[1])
    return PositionMask(causal, (side, 0 if causal else side))


def pairs_within(position: PositionMask, length: int) -> int:
    """Return how many pairs of a text of so many tokens a mask leaves."""
    before = np.arange(length)
    after = before[::-1]
    left = before if position.left is None else before.clip(max=position.left)
    right = after if position.right is None else after.clip(max=position.right)
    return int((left + right).sum()) + length


def pairs_computed(position: PositionMask, length: int) -> int:
    """Return how many pairs PyTorch's fused kernel computes under a mask: all, but for causality alone the half."""
    return pairs_within(position, length) if position == PositionMask(causal=True) else length**2
