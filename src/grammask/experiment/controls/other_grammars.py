"""Controls that are a grammar in the place of the given one, of the same word density on the training texts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...files.names import LONGEST_NAME
from ...grammar.grammar import Grammar
from ...grammar.tags import UPOS
from ...induce.allowed import allowed_cells
from ...induce.cells import FARTHEST, Cells, count_pairs
from ...induce.offsets import NEAREST, fill_offsets, offset_rules
from .registry import Control


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
    name = f"{grammar.name[: LONGEST_NAME - len(control.name) - 1]}-{control.name}"
    bare = Grammar(name, structural, grammar.sinks, source=f"control of {grammar.name}")
    if control.name == "self-sinks":
        return bare
    if control.name == "permuted":
        return _permuted(grammar, bare.name, seed)
    pairs, far_pairs = count_pairs(training)
    cells = Cells(pairs, far_pairs, np.zeros((0, *pairs.shape)), np.zeros((0, *far_pairs.shape)))
    allowed = allowed_cells(grammar, layers=layers, heads=heads)
    targets = allowed.densities(cells)
    if control.name == "offsets":
        kept = (allowed.near * pairs).sum((1, 2)) / np.maximum(pairs.sum((0, 1)), 1)
        orders = [sorted(NEAREST, key=lambda offset: -share[offset + FARTHEST]) for share in kept]
    else:
        orders = [list(NEAREST)] * len(targets)
    rules = offset_rules(fill_offsets(orders, targets, cells), layers=layers, heads=heads)
    sinks = () if control.name == "window" else grammar.sinks
    return replace(bare, rules=(*structural, *rules), sinks=sinks)


def _permuted(grammar: Grammar, name: str, seed: int) -> Grammar:
    other = dict(zip(UPOS, np.random.default_rng(seed).permutation(UPOS).tolist(), strict=True))

    def rename(tags: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(other.get(tag, tag) for tag in tags)

    rules = tuple(replace(rule, query=rename(rule.query), key=rename(rule.key)) for rule in grammar.rules)
    return replace(grammar, name=name, rules=rules, source=f"control of {grammar.name}")
