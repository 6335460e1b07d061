"""Rules and heads in words: who reads whom, and how far."""

from collections.abc import Sequence

import numpy as np

from ..rules import Reach, Rule
from ..tags import UPOS
from .cells import Cells
from .choose import Interval, cells_of

_MANY = 9  # of 17 tags: from here on the tags that are left out say more


def spell_rule(rule: Rule) -> str:
    """Say a rule in words: ADJ DET read NOUN PROPN 1 to 3 words after."""
    return f"{_tags(rule.query)} read {_tags(rule.key)} {_reach(rule.reach)}"


def role_of(rules: Sequence[Interval], cells: Cells) -> str:
    """Say in words what a head mostly does: its rule that carries most of the gain of one group."""
    if not rules:
        return "reads no other word"
    carried = [float(cells.gain[0][cells_of([rule], len(UPOS))].sum()) for rule in rules]
    return spell_rule(to_rule(rules[int(np.argmax(carried))]))


def to_rule(interval: Interval, *, layer: int | None = None, head: int | None = None, name: str = "") -> Rule:
    """Return an interval of cells as a grammar's rule, for one layer or head where they are given."""
    return Rule(
        query=tuple(UPOS[tag] for tag in np.flatnonzero(interval.query)),
        key=tuple(UPOS[tag] for tag in np.flatnonzero(interval.key)),
        reach=Reach("words", interval.lo, interval.hi),
        layers=None if layer is None else (layer,),
        heads=None if head is None else (head,),
        name=name,
    )


def _tags(tags: tuple[str, ...]) -> str:
    if len(tags) == len(UPOS):
        return "all"
    if len(tags) < _MANY:
        return " ".join(tags)
    return "all but " + " ".join(tag for tag in UPOS if tag not in tags)


def _reach(reach: Reach) -> str:
    if reach.kind != "words":
        return "anywhere" if reach.kind == "document" else "within the sentence"
    if reach.lo < 0 < reach.hi:
        return f"from {-reach.lo} before to {reach.hi} after"
    near, far, side = (-reach.hi, -reach.lo, "before") if reach.hi <= 0 else (reach.lo, reach.hi, "after")
    if near == far:
        return f"{far} {side}"
    return f"up to {far} {side}" if near <= 1 else f"{near} to {far} {side}"
