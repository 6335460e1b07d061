"""From intervals of cells to rules, and what a head mostly does."""

from collections.abc import Sequence

import numpy as np

from ..grammar.describe import describe_rule
from ..grammar.rules import Reach, Rule
from ..grammar.tags import UPOS
from .cells import Cells
from .choose import Interval, cells_of


def role_of(rules: Sequence[Interval], cells: Cells) -> str:
    """Say in words what a head mostly does: its rule that carries most of the gain of one group."""
    if not rules:
        return "reads no other word"
    carried = [float(cells.gain[0][cells_of([rule], len(UPOS))].sum()) for rule in rules]
    return describe_rule(to_rule(rules[int(np.argmax(carried))]))


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
