"""Controls that are a grammar in the place of the given one, of the same word density on the training texts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..grammar import Grammar
from ..induce.allowed import allowed_cells
from ..induce.cells import FARTHEST, OFFSETS, Cells, count_pairs
from ..rules import Reach, Rule
from ..tags import UPOS
from .names import Control

# Nearest first: the word itself, the one before, the one after, ...
_NEAREST = sorted(range(-FARTHEST, FARTHEST + 1), key=lambda offset: (abs(offset), offset > 0))


def control_grammar(
    control: Control, grammar: Grammar, training: Sequence[NDArray[np.int32]], *, layers: int, heads: int, seed: int
) -> Grammar:
    """Return the grammar of a control of kind "grammar"; `training` holds the tag ids of each text's words.

    Structural tokens read what the given grammar lets them read. Raises `GrammarError` where word offsets cannot
    hold the given grammar.
    """
    structural = tuple(
        replace(rule, query=query)
        for rule in grammar.rules
        if (query := tuple(tag for tag in rule.query if tag not in UPOS))
    )
    bare = Grammar(f"{grammar.name}-{control.name}", structural, grammar.sinks, source=f"control of {grammar.name}")
    if control.name == "self-sinks":
        return bare
    if control.name == "permuted":
        return _permuted(grammar, bare.name, seed)
    pairs, far_pairs = count_pairs(training)
    cells = Cells(pairs, far_pairs, np.zeros((0, *pairs.shape)), np.zeros((0, *far_pairs.shape)))
    allowed = allowed_cells(grammar, layers=layers, heads=heads)
    targets = allowed.densities(cells)
    costs = pairs.sum((0, 1)) / cells.all_pairs
    if control.name == "offsets":
        kept = (allowed.near * pairs).sum((1, 2)) / np.maximum(pairs.sum((0, 1)), 1)
        orders = [sorted(_NEAREST, key=lambda offset: -share[offset + FARTHEST]) for share in kept]
    else:
        orders = [_NEAREST] * len(targets)
    rules = _rules(_fill(orders, targets, costs), layers=layers, heads=heads)
    sinks = () if control.name == "window" else grammar.sinks
    return replace(bare, rules=(*structural, *rules), sinks=sinks)


def _permuted(grammar: Grammar, name: str, seed: int) -> Grammar:
    other = dict(zip(UPOS, np.random.default_rng(seed).permutation(UPOS).tolist(), strict=True))

    def rename(tags: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(other.get(tag, tag) for tag in tags)

    rules = tuple(replace(rule, query=rename(rule.query), key=rename(rule.key)) for rule in grammar.rules)
    return replace(grammar, name=name, rules=rules, source=f"control of {grammar.name}")


def _fill(
    orders: Sequence[Sequence[int]], targets: NDArray[np.float64], costs: NDArray[np.float64]
) -> list[NDArray[np.bool_]]:
    """Give each group its first offsets up to its density.

    One offset costs several percent, so what a group is over or under goes to the next, and the mean comes out right.
    """
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


def _rules(chosen: Sequence[NDArray[np.bool_]], *, layers: int, heads: int) -> list[Rule]:
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
