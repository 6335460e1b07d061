"""Choosing cells for a budget, and merging them into few interval rules.

A word pair is worth its gain less a price. For each query and key tag, and to each side, the interval of offsets that
is worth most is a rule; the price is set so that all rules together meet the budget. Then the two rules whose union
loses least become one, until few enough are left: a rule of more tags or offsets than it needs costs pairs, and the
price goes up to pay for them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .cells import FARTHEST, OFFSETS, Cells, Floats

_PRIOR: Final[float] = 50.0  # pairs: below about so many, a cell is thought to be worth what its offset is
_STEPS: Final[int] = 18

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Interval:
    """A rule over cells: query tags and key tags (tags,), and the offsets from `lo` to `hi` words."""

    query: Bools
    key: Bools
    lo: int
    hi: int

    @property
    def offsets(self) -> slice:
        """The rule's place on the axis of offsets."""
        return slice(self.lo + FARTHEST, self.hi + FARTHEST + 1)

    def merged(self, other: "Interval") -> "Interval":
        """Return the smallest rule that holds both."""
        return Interval(self.query | other.query, self.key | other.key, min(self.lo, other.lo), max(self.hi, other.hi))


def cells_of(rules: list[Interval], tags: int) -> Bools:
    """Return the cells (tags, tags, offsets) that rules allow; a word always reads itself."""
    allowed = np.zeros((tags, tags, OFFSETS), dtype=np.bool_)
    allowed[..., FARTHEST] = True
    for rule in rules:
        allowed[..., rule.offsets] |= (rule.query[:, None] & rule.key)[..., None]
    return allowed


def choose(cells: Cells, *, budget: float, most_rules: int) -> list[Interval]:
    """Return at most `most_rules` rules for one group of cells, with a word density of at most `budget`.

    Of all prices that meet the budget, the lowest is found by bisection.
    """
    worth = _shrunken(cells)
    low, high = 0.0, float((worth / np.maximum(cells.pairs, 1)).max())
    best: list[Interval] = []
    for _ in range(_STEPS):
        price = (low + high) / 2
        rules = _merge(_intervals(worth - price * cells.pairs), worth - price * cells.pairs, most_rules)
        if cells.density(cells_of(rules, len(worth))) <= budget:
            best, high = rules, price
        else:
            low = price
    return best


def _shrunken(cells: Cells) -> Floats:
    """Return gains (tags, tags, offsets) whose rare cells are drawn towards what their offset is worth to all tags."""
    gain = cells.gain[0]
    by_offset = gain.sum((0, 1)) / np.maximum(cells.pairs.sum((0, 1)), 1)
    shrunken: Floats = (gain + _PRIOR * by_offset) / (cells.pairs + _PRIOR) * cells.pairs
    return shrunken


def _intervals(value: Floats) -> list[Interval]:
    """Return the most valuable interval of every pair of tags to each side, as rules that share tags where alike."""
    tags = len(value)
    found: dict[tuple[int, int, int], list[int]] = {}
    for query, key in np.ndindex(tags, tags):
        before = _best(value[query, key, :FARTHEST], 0)
        after = _best(value[query, key, FARTHEST + 1 :], FARTHEST + 1)
        sides = [side for side in (before, after) if side is not None]
        if len(sides) == 2 and sides[0][1] == FARTHEST - 1 and sides[1][0] == FARTHEST + 1:
            sides = [(sides[0][0], sides[1][1])]  # the word itself, between them, is read anyway
        for first, last in sides:
            found.setdefault((query, first - FARTHEST, last - FARTHEST), []).append(key)
    alike: dict[tuple[tuple[int, ...], int, int], list[int]] = {}
    for (query, lo, hi), keys in found.items():
        alike.setdefault((tuple(keys), lo, hi), []).append(query)
    return [Interval(_mask(queries, tags), _mask(keys, tags), lo, hi) for (keys, lo, hi), queries in alike.items()]


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


def _merge(rules: list[Interval], value: Floats, most: int) -> list[Interval]:
    """Merge the two rules whose union is worth most, again and again, until `most` are left."""
    rules = list(rules)
    losses: dict[tuple[int, int], float] = {}
    alive = set(range(len(rules)))
    uncovered = np.where(cells_of(rules, len(value)), 0.0, value)
    fresh = list(alive)
    while len(alive) > most:
        sums = np.concatenate([np.zeros((*value.shape[:2], 1)), uncovered.cumsum(-1)], -1)
        for new in fresh:
            others = [other for other in alive if other != new]
            for other, change in zip(others, _changes(rules[new], [rules[o] for o in others], sums), strict=True):
                losses[min(new, other), max(new, other)] = change
        one, two = max(losses, key=lambda pair: losses[pair])
        alive -= {one, two}
        losses = {pair: loss for pair, loss in losses.items() if not {one, two} & set(pair)}
        rules.append(rules[one].merged(rules[two]))
        alive.add(len(rules) - 1)
        fresh = [len(rules) - 1]
        joined = rules[-1]
        uncovered[..., joined.offsets][joined.query[:, None] & joined.key] = 0.0
    return [rules[number] for number in sorted(alive)]


def _changes(rule: Interval, others: list[Interval], sums: Floats) -> list[float]:
    """Return what the value changes by when a rule is merged with each other one; `sums` run along the offsets."""
    if not others:
        return []
    lo = np.array([min(rule.lo, other.lo) for other in others]) + FARTHEST
    hi = np.array([max(rule.hi, other.hi) for other in others]) + FARTHEST + 1
    query = np.array([rule.query | other.query for other in others], dtype=np.float64)
    key = np.array([rule.key | other.key for other in others], dtype=np.float64)
    inside = sums[:, :, hi] - sums[:, :, lo]  # (tags, tags, others)
    found: list[float] = np.einsum("oq,qko,ok->o", query, inside, key).tolist()
    return found
