"""Choosing cells for a budget, and merging them into few rules.

The value of a word pair is its gain less a price. For each query tag, key tag and side, the interval of offsets with
the highest value is a rule; the price is set so that all rules together meet the budget. Then the two rules whose union
loses least become one, until few enough are left. Merged rules allow pairs that nobody asked for, so the price rises.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .cells import FARTHEST, OFFSETS, Cells, Floats

_PRIOR: Final[float] = 50.0  # pairs: a cell with fewer mostly takes the gain of its offset over all tags
_STEPS: Final[int] = 16

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CellRule:
    """A rule over cells: query tags and key tags (tags,), and the offsets from `lo` to `hi` words."""

    query: Bools
    key: Bools
    lo: int
    hi: int

    @property
    def offsets(self) -> slice:
        """The rule's slice of the axis of offsets."""
        return slice(self.lo + FARTHEST, self.hi + FARTHEST + 1)

    def merged(self, other: "CellRule") -> "CellRule":
        """Return the smallest rule that holds both."""
        return CellRule(self.query | other.query, self.key | other.key, min(self.lo, other.lo), max(self.hi, other.hi))


def cells_of(rules: list[CellRule], tags: int) -> Bools:
    """Return the cells (tags, tags, offsets) that rules allow; a word always reads itself."""
    allowed = np.zeros((tags, tags, OFFSETS), dtype=np.bool_)
    allowed[..., FARTHEST] = True
    for rule in rules:
        allowed[..., rule.offsets] |= (rule.query[:, None] & rule.key)[..., None]
    return allowed


def choose_rules(
    cells: Cells, *, budget: float, most_rules: int, near: Bools | None = None, far: Bools | None = None,
    by_query: bool = False,
) -> list[CellRule]:  # fmt: skip
    """Return at most `most_rules` rules for one group of cells, with a word density of at most `budget`.

    Of all prices that meet the budget, the lowest is found by bisection. With `by_query` each query tag has a price of
    its own, at which it would spend the budget alone: otherwise tags whose attention is spread get hardly any key.
    `near` (tags, tags, offsets) and `far` (tags, tags) are allowed already: they count in the density, and have no more
    gain. There are no rules where they spend the budget.
    """
    worth = _shrunken(cells)
    given = cells_of([], len(worth)) if near is None else near
    prices = _prices(cells, worth, budget, by_query=by_query)[:, None, None]
    low, high = 0.0, 4.0
    best: list[CellRule] = []
    for _ in range(_STEPS):
        price = (low + high) / 2
        value = np.where(given, 0.0, worth - price * prices * cells.pairs)
        rules = _intervals(value)
        # Merging only ever allows more.
        if cells.density(cells_of(rules, len(worth)) | given, far) <= budget:
            rules = _merge(rules, value, most_rules)
        if cells.density(cells_of(rules, len(worth)) | given, far) <= budget:
            best, high = rules, price
        else:
            low = price
    return best


def _prices(cells: Cells, worth: Floats, budget: float, *, by_query: bool) -> Floats:
    """Return the price of a pair (tags,) at which single cells would spend the budget: each query tag's, or all's."""
    rate = np.divide(worth, cells.pairs, out=np.zeros_like(worth), where=cells.pairs > 0)
    groups = [np.array([query]) for query in range(len(worth))] if by_query else [np.arange(len(worth))]
    prices = np.zeros(len(worth))
    for group in groups:
        order = np.argsort(-rate[group], axis=None)
        spent = cells.pairs[group].ravel()[order].cumsum()
        whole = cells.pairs[group].sum() + cells.far_pairs[group].sum()
        last = min(int(np.searchsorted(spent, budget * whole)), len(order) - 1)
        prices[group] = rate[group].ravel()[order][last]
    return prices


def _shrunken(cells: Cells) -> Floats:
    """Return gains (tags, tags, offsets), those of rare cells shrunk towards the gain of their offset over all tags."""
    gain = cells.gain[0]
    by_offset = gain.sum((0, 1)) / np.maximum(cells.pairs.sum((0, 1)), 1)
    shrunken: Floats = (gain + _PRIOR * by_offset) / (cells.pairs + _PRIOR) * cells.pairs
    return shrunken


def _intervals(value: Floats) -> list[CellRule]:
    """Return the most valuable interval of every pair of tags to each side; equal intervals share a rule."""
    tags = len(value)
    found: dict[tuple[int, int, int], list[int]] = {}
    for query, key in np.ndindex(tags, tags):
        before = _best(value[query, key, :FARTHEST], 0)
        after = _best(value[query, key, FARTHEST + 1 :], FARTHEST + 1)
        sides = [side for side in (before, after) if side is not None]
        if len(sides) == 2 and sides[0][1] == FARTHEST - 1 and sides[1][0] == FARTHEST + 1:
            sides = [(sides[0][0], sides[1][1])]  # the word between them is itself, which is always read
        for first, last in sides:
            found.setdefault((query, first - FARTHEST, last - FARTHEST), []).append(key)
    alike: dict[tuple[tuple[int, ...], int, int], list[int]] = {}
    for (query, lo, hi), keys in found.items():
        alike.setdefault((tuple(keys), lo, hi), []).append(query)
    return [CellRule(_mask(queries, tags), _mask(keys, tags), lo, hi) for (keys, lo, hi), queries in alike.items()]


def _best(value: Floats, first: int) -> tuple[int, int] | None:
    """Return the first and last place of the run with the largest sum, None where no sum is above 0 (Kadane)."""
    best, where, total, start = 0.0, None, 0.0, 0
    for place, here in enumerate(value.tolist()):
        if total <= 0:
            total, start = 0.0, place
        total += here
        if total > best:
            best, where = total, (first + start, first + place)
    return where


def _mask(chosen: list[int] | tuple[int, ...], tags: int) -> Bools:
    mask = np.zeros(tags, dtype=np.bool_)
    mask[list(chosen)] = True
    return mask


def _merge(rules: list[CellRule], value: Floats, most: int) -> list[CellRule]:
    """Merge the two rules whose union is worth most, again and again, until `most` are left."""
    rules = list(rules)
    alive = list(range(len(rules)))
    changes = np.full((2 * len(rules), 2 * len(rules)), -np.inf)  # of merging two rules; it has room for merged ones
    uncovered = np.where(cells_of(rules, len(value)), 0.0, value)
    fresh = alive
    while len(alive) > most:
        sums = np.concatenate([np.zeros((*value.shape[:2], 1)), uncovered.cumsum(-1)], -1)
        for new in fresh:
            others = [other for other in alive if other < new]
            changes[new, others] = _changes(rules[new], [rules[other] for other in others], sums)
        one, two = np.unravel_index(int(changes.argmax()), changes.shape)
        joined = rules[one].merged(rules[two])
        rules.append(joined)
        fresh = [len(rules) - 1]
        alive = [number for number in alive if number not in (one, two)] + fresh
        changes[[one, two]] = changes[:, [one, two]] = -np.inf
        uncovered[..., joined.offsets][joined.query[:, None] & joined.key] = 0.0
    return [rules[number] for number in alive]


def _changes(rule: CellRule, others: list[CellRule], sums: Floats) -> Floats:
    """Return what the value changes by when a rule is merged with each other one; `sums` run along the offsets."""
    if not others:
        return np.zeros(0)
    lo = np.array([min(rule.lo, other.lo) for other in others]) + FARTHEST
    hi = np.array([max(rule.hi, other.hi) for other in others]) + FARTHEST + 1
    query = np.array([rule.query | other.query for other in others], dtype=np.float64)
    key = np.array([rule.key | other.key for other in others], dtype=np.float64)
    inside = sums[:, :, hi] - sums[:, :, lo]  # (tags, tags, others)
    found: Floats = np.einsum("oq,qko,ok->o", query, inside, key, optimize=True)
    return found
