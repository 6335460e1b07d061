"""What a control of equal pairs is: a function under its name, which makes another grammar, other tags, or both."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ...attention.causal_pairs import Counts
from ...files.names import LONGEST_NAME
from ...grammar.grammar import Grammar
from ...grammar.rules import Rule
from ...grammar.tags import UPOS
from .pair_counter import PairCounter


@dataclass(frozen=True)
class ControlInputs:
    """What a control is made from.

    `bare` has the name that the control's grammar is to have, the sinks of the given `grammar`, and of its rules those
    of structural tokens. `wanted` is the share of pairs, `tokens` holds the token ids of each text.
    """

    grammar: Grammar
    bare: Grammar
    counter: PairCounter
    wanted: float
    tokens: tuple[Counts, ...]
    seed: int


@dataclass(frozen=True)
class MadeControl:
    """A control's grammar, the tags of each text where they are other ones, and what is to be said of it."""

    grammar: Grammar
    tags: tuple[Counts, ...] | None = None
    note: str = ""


@dataclass(frozen=True)
class EqualControl:
    """A control by what it keeps and breaks; one that `needs_tags` says nothing of a grammar whose rules name none."""

    description: str
    make: Callable[[ControlInputs], MadeControl]
    needs_tags: bool


EQUAL_CONTROLS: Final[dict[str, EqualControl]] = {}


def equal_control(
    name: str, description: str, *, needs_tags: bool = True
) -> Callable[[Callable[[ControlInputs], MadeControl]], Callable[[ControlInputs], MadeControl]]:
    """Register a function as a control."""

    def register(make: Callable[[ControlInputs], MadeControl]) -> Callable[[ControlInputs], MadeControl]:
        EQUAL_CONTROLS[name] = EqualControl(description, make, needs_tags)
        return make

    return register


def bare_grammar(grammar: Grammar, control: str) -> Grammar:
    """Return the grammar that a control starts from: sinks, and the rules of structural tokens."""
    rules = tuple(
        replace(rule, query=query)
        for rule in grammar.rules
        if (query := tuple(tag for tag in rule.query if tag not in UPOS))
    )
    name = f"{grammar.name[: LONGEST_NAME - len(control) - 1]}-{control}"
    source = f"control of {grammar.name}"
    return Grammar(name, rules, grammar.sinks, sink_tokens=grammar.sink_tokens, source=source)


def bounded_rules(grammar: Grammar) -> tuple[Rule, ...]:
    """Return the rules of words that don't lead to any distance."""
    return tuple(
        replace(rule, query=query)
        for rule in grammar.rules
        if rule.reach.kind != "document" and (query := tuple(tag for tag in rule.query if tag in UPOS))
    )


def heads_where(chosen: np.ndarray, key: tuple[str, ...]) -> list[Rule]:
    """Return rules by which words read these tags anywhere, in the heads that are chosen: bool (layers, heads)."""
    rules = []
    for layer, heads in enumerate(chosen):
        if heads.any():
            rules.append(Rule(UPOS, key, layers=(layer,), heads=tuple(np.flatnonzero(heads).tolist())))
    return rules
