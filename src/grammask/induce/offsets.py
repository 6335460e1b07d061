"""Rules of word offsets alone, the same for all tags."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..grammar.rules import Reach, Rule
from ..grammar.tags import UPOS
from .cells import FARTHEST, OFFSETS, Cells

# The word itself, the one before, the one after, ...
NEAREST: Final[tuple[int, ...]] = tuple(
    sorted(range(-FARTHEST, FARTHEST + 1), key=lambda offset: (abs(offset), offset > 0))
)


def best_offsets(cells: Cells, *, budget: float) -> list[NDArray[np.bool_]]:
    """Return for each group the offsets with the most gain per pair, at a mean word density of `budget`."""
    worth = cells.gain.sum((1, 2)) / np.maximum(cells.pairs.sum((0, 1)), 1)
    orders = [sorted(NEAREST, key=lambda offset: -row[offset + FARTHEST]) for row in worth]
    return fill_offsets(orders, np.full(cells.groups, budget), cells)


def fill_offsets(
    orders: Sequence[Sequence[int]], targets: NDArray[np.float64], cells: Cells
) -> list[NDArray[np.bool_]]:
    """Give each group the first offsets of its order, up to its density: masks (offsets,).

    One offset costs several percent, so a group's excess is taken from the next one, and the mean is right.
    """
    costs = cells.pairs.sum((0, 1)) / cells.all_pairs
    found, owed = [], 0.0
    for order, target in zip(orders, targets, strict=True):
        owed += target
        chosen = np.zeros(OFFSETS, dtype=np.bool_)
        chosen[FARTHEST] = True
        owed -= costs[FARTHEST]
        for offset in order:
            cost = costs[offset + FARTHEST]
            if offset and owed < cost / 2:
                break
            if offset:
                chosen[offset + FARTHEST] = True
                owed -= cost
        found.append(chosen)
    return found


def offset_rules(chosen: Sequence[NDArray[np.bool_]], *, layers: int, heads: int) -> list[Rule]:
    """Return rules of all tags for the offsets of each layer and head; groups with equal runs share a rule."""
    groups: dict[tuple[int, int], dict[int, list[int]]] = {}
    for number, offsets in enumerate(chosen):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], offsets.astype(np.int8), [0]])))
        for first, beyond in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            reach = (first - FARTHEST, beyond - 1 - FARTHEST)
            if reach != (0, 0):
                groups.setdefault(reach, {}).setdefault(number // heads, []).append(number % heads)
    everywhere = {layer: list(range(heads)) for layer in range(layers)}
    return [
        Rule(UPOS, UPOS, Reach("words", lo, hi))
        if where == everywhere
        else Rule(UPOS, UPOS, Reach("words", lo, hi), layers=(layer,), heads=tuple(which))
        for (lo, hi), where in groups.items()
        for layer, which in ([(0, [])] if where == everywhere else where.items())
    ]
