"""How much of held-out text a grammar covers, and what grammars of other budgets would cover."""

from collections.abc import Callable
from typing import Final

import numpy as np

from ..errors import InputError
from ..grammar.grammar import Grammar
from .allowed import Allowed, allowed_cells
from .build import Recipe, induce
from .cells import Cells
from .corpus import InductionData

BUDGETS: Final[tuple[float, ...]] = (0.08, 0.1, 0.12, 0.15, 0.2, 0.3)


def measure_coverage(grammar: Grammar, data: InductionData) -> dict[str, float]:
    """Return the word density on held-out text and the coverage of each kind of gain."""
    allowed = allowed_cells(grammar, layers=data.layers, heads=data.heads)
    densities = allowed.densities(next(iter(data.held_out.values())))
    return {
        "density": float(densities.mean()),
        **{f"{kind}_covered": _coverage(kind, cells, allowed) for kind, cells in data.held_out.items()},
    }


def coverage_curve(data: InductionData, recipe: Recipe, say: Callable[[str], None]) -> list[dict[str, float]]:
    """Return what the recipe covers at each of `BUDGETS`, measured on held-out text."""
    rows = []
    for budget in BUDGETS:
        say(f"curve: word density {budget:.0%}")
        try:
            grammar = induce(data.cells, recipe.at(budget), name="curve")
        except InputError:  # what the starting grammar allows is more than this
            continue
        rows.append({"budget": budget, "rules": len(grammar.rules), **measure_coverage(grammar, data)})
    return rows


def _coverage(kind: str, cells: Cells, allowed: Allowed) -> float:
    """Return the share of gain that is allowed, a mean over heads; an arc is covered from either of its ends."""
    found = []
    for number, (near, far) in enumerate(zip(allowed.near, allowed.far, strict=True)):
        of_group = cells.select([number if cells.groups > 1 else 0])
        if kind == "arcs":
            near, far = near | near.swapaxes(0, 1)[..., ::-1], far | far.T
        found.append(of_group.coverage(near, far))
    return float(np.mean(found))
