"""Controls that are another grammar instead of the given one; windows and offsets have its word density in training."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...files.names import LONGEST_NAME
from ...grammar.grammar import Grammar
from ...grammar.tags import UPOS
from ...induce.cells import FARTHEST, Cells, count_cells
from ...induce.offsets import NEAREST, fill_offsets, offset_rules
from .control import GrammarControl, GrammarInputs, control

if TYPE_CHECKING:
    from ...induce.allowed import Allowed


def control_grammar(
    control: GrammarControl,
    grammar: Grammar,
    training: Sequence[NDArray[np.int32]],
    *,
    layers: int,
    heads: int,
    seed: int,
) -> Grammar:
    """Return the grammar of a control; `training` holds the tag ids of each text's words.

    Structural tokens read what the given grammar lets them read. Raises `GrammarError` where word offsets cannot
    hold the given grammar.
    """
    structural = tuple(
        replace(rule, query=query)
        for rule in grammar.rules
        if (query := tuple(tag for tag in rule.query if tag not in UPOS))
    )
    name = f"{grammar.name[: LONGEST_NAME - len(control.name) - 1]}-{control.name}"
    bare = Grammar(
        name, structural, grammar.sinks, sink_tokens=grammar.sink_tokens, source=f"control of {grammar.name}"
    )
    return control.make(GrammarInputs(grammar, bare, training, layers, heads, seed))


@control(
    GrammarControl, "window", "every word reads the nearest words, as many as give the same word density; no sinks"
)
def window(inputs: GrammarInputs) -> Grammar:
    """Return the nearest words, without sinks."""
    return replace(window_sinks(inputs), sinks=(), sink_tokens=0)


@control(GrammarControl, "window-sinks", "the same window, with the grammar's sinks")
def window_sinks(inputs: GrammarInputs) -> Grammar:
    """Return the nearest words, with sinks."""
    return _offset_grammar(inputs, lambda allowed, cells: [NEAREST] * len(allowed.near))


@control(
    GrammarControl,
    "offsets",
    "each head keeps the word offsets that its rules allow most, for all tags alike, at the same density",
)
def offsets(inputs: GrammarInputs) -> Grammar:
    """Return the offsets that the rules of each head allow most."""

    def most_allowed_first(allowed: "Allowed", cells: Cells) -> list[list[int]]:
        shares = (allowed.near * cells.pairs).sum((1, 2)) / np.maximum(cells.pairs.sum((0, 1)), 1)
        return [sorted(NEAREST, key=lambda offset: -share[offset + FARTHEST]) for share in shares]

    return _offset_grammar(inputs, most_allowed_first)


@control(GrammarControl, "permuted", "the rules as they are, with the names of the tags exchanged at random")
def permuted(inputs: GrammarInputs) -> Grammar:
    """Return the rules under other tags."""
    other = dict(zip(UPOS, np.random.default_rng(inputs.seed).permutation(UPOS).tolist(), strict=True))

    def rename(tags: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(other.get(tag, tag) for tag in tags)

    rules = tuple(replace(rule, query=rename(rule.query), key=rename(rule.key)) for rule in inputs.grammar.rules)
    return replace(inputs.grammar, name=inputs.bare.name, rules=rules, source=inputs.bare.source)


@control(GrammarControl, "self-sinks", "every word reads itself and the sinks only")
def self_sinks(inputs: GrammarInputs) -> Grammar:
    """Return no rules of words at all."""
    return inputs.bare


def _offset_grammar(
    inputs: GrammarInputs, order_offsets: Callable[["Allowed", Cells], Sequence[Sequence[int]]]
) -> Grammar:
    """Give each head the first offsets of its order, as many as give the word density that it has in the grammar."""
    from ...induce.allowed import allowed_cells  # needs torch, without which the names must be known

    pairs, far_pairs = count_cells(inputs.training)
    cells = Cells(pairs, far_pairs, np.zeros((0, *pairs.shape)), np.zeros((0, *far_pairs.shape)))
    allowed = allowed_cells(inputs.grammar, layers=inputs.layers, heads=inputs.heads)
    chosen = fill_offsets(order_offsets(allowed, cells), allowed.densities(cells), cells)
    rules = offset_rules(chosen, layers=inputs.layers, heads=inputs.heads)
    return replace(inputs.bare, rules=(*inputs.bare.rules, *rules))
