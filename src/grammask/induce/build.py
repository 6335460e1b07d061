"""From cells to a grammar: one table for all heads, one for each layer, or one for each head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..grammar.describe import describe_rule
from ..grammar.grammar import Grammar
from ..grammar.rules import Reach, Rule
from ..grammar.tags import UPOS
from .allowed import Allowed, allowed_cells
from .cells import Cells
from .choose_rules import CellRule, cells_of, choose_rules
from .offsets import best_offsets, offset_rules

Scope = Literal["all", "layer", "head"]
# A classifier reads [CLS], so [CLS] always reads everything; that is one row of pairs.
CLS_READS_ALL: Final = Rule(query=("[CLS]",), key=UPOS, reach=Reach("document"))


@dataclass(frozen=True)
class Recipe:
    """What to induce: the scope of a table, its word density (`budget`), and the most rules of tags it may have.

    `by_query` gives every query tag its share of the density; see `choose_rules`. `offsets_share` is the part of the
    density that offsets get first, alike for all tags; with 1 there are no rules of tags. Scopes "layer" and "head"
    need the model's `layers` and `heads`. `start` is a grammar to add to. `strength` is what soft attention adds to
    the score of pairs that the found rules match.
    """

    budget: float
    most_rules: int
    scope: Scope = "all"
    by_query: bool = False
    offsets_share: float = 0.0
    layers: int = 1
    heads: int = 1
    start: Grammar | None = None
    strength: float = 0.0

    def at(self, budget: float) -> "Recipe":
        """Return the same recipe for another word density."""
        return replace(self, budget=budget)


def induce(cells: Cells, recipe: Recipe, *, name: str, description: str = "", source: str = "") -> Grammar:
    """Return a grammar of the recipe's word density on the text that the cells are from.

    `cells` have one group, or one for every layer and head of the model. Word rules come after those of the starting
    grammar; without one, [CLS] and [SEP] are sinks and [CLS] reads everything. Raises `InputError` for a budget that is
    spent by the starting grammar, or by words that read themselves.
    """
    start = recipe.start or Grammar(name, (CLS_READS_ALL,), sinks=("[CLS]", "[SEP]"))
    given = allowed_cells(start, layers=recipe.layers, heads=recipe.heads)
    if (spent := float(given.densities(cells).mean())) > recipe.budget:
        raise InputError(
            f"a word density of {recipe.budget:.3f} is spent before the first rule, since {spent:.3f} is "
            "always allowed; give a larger budget"
        )
    rules: list[Rule] = []
    if recipe.offsets_share:
        rules = _by_offsets(cells, recipe)
        given = allowed_cells(replace(start, rules=(*start.rules, *rules)), layers=recipe.layers, heads=recipe.heads)
    if recipe.offsets_share < 1:
        rules += _by_tags(cells, recipe, given)
    rules = [replace(rule, strength=recipe.strength) for rule in rules]
    return replace(start, name=name, description=description, source=source, rules=(*start.rules, *rules))


def _by_offsets(cells: Cells, recipe: Recipe) -> list[Rule]:
    budget = recipe.budget * recipe.offsets_share
    if recipe.scope == "all":
        return offset_rules(best_offsets(cells.pooled(), budget=budget), layers=1, heads=1)
    expanded = _expanded(cells, recipe)
    if recipe.scope == "layer":
        expanded = expanded.summed(recipe.heads)
    rules = offset_rules(best_offsets(expanded, budget=budget), layers=recipe.layers, heads=recipe.heads)
    return [replace(rule, name=_where(rule)) for rule in rules]


def _where(rule: Rule) -> str:
    """Name the heads of a rule of offsets."""
    if rule.layers is None or rule.heads is None:
        return ""
    heads = " ".join(map(str, rule.heads))
    return f"layer {rule.layers[0]}, {'heads' if len(rule.heads) > 1 else 'head'} {heads}: {describe_rule(rule)}"


def _by_tags(cells: Cells, recipe: Recipe, given: Allowed) -> list[Rule]:
    if recipe.scope == "all":
        near, far = np.logical_and.reduce(given.near), np.logical_and.reduce(given.far)
        return [_to_rule(rule) for rule in _choose(cells.pooled(), recipe, near, far)]
    expanded = _expanded(cells, recipe)
    rules: list[Rule] = []
    for layer in range(recipe.layers):
        groups = range(layer * recipe.heads, (layer + 1) * recipe.heads)
        if recipe.scope == "layer":
            of_layer = expanded.select(groups).pooled()
            rules += _group(of_layer, recipe, given.near[groups[0]], given.far[groups[0]], layer, None)
            continue
        for head, number in enumerate(groups):
            rules += _group(expanded.select([number]), recipe, given.near[number], given.far[number], layer, head)
    return rules


def _group(
    cells: Cells, recipe: Recipe, near: NDArray[np.bool_], far: NDArray[np.bool_], layer: int, head: int | None
) -> list[Rule]:
    chosen = _choose(cells, recipe, near, far)
    where = f"layer {layer}" if head is None else f"layer {layer}, head {head}"
    role = f"{where}: {_main_role(chosen, cells)}"
    return [_to_rule(rule, layer=layer, head=head, name=role) for rule in chosen]


def _choose(cells: Cells, recipe: Recipe, near: NDArray[np.bool_], far: NDArray[np.bool_]) -> list[CellRule]:
    return choose_rules(
        cells, budget=recipe.budget, most_rules=recipe.most_rules, near=near, far=far, by_query=recipe.by_query
    )


def _expanded(cells: Cells, recipe: Recipe) -> Cells:
    """Return cells with a group for every layer and head, where they have one for all."""
    groups: Sequence[int] = range(recipe.layers * recipe.heads)
    return cells if cells.groups == len(groups) else cells.select([0] * len(groups))


def _main_role(rules: Sequence[CellRule], cells: Cells) -> str:
    """Return in words what a head mostly does: the rule that has most of its gain."""
    if not rules:
        return "reads no other word"
    carried = [float(cells.gain[0][cells_of([rule], len(UPOS))].sum()) for rule in rules]
    return describe_rule(_to_rule(rules[int(np.argmax(carried))]))


def _to_rule(rule: CellRule, *, layer: int | None = None, head: int | None = None, name: str = "") -> Rule:
    """Return a rule over cells as a grammar's rule, for one layer or head where they are given."""
    return Rule(
        query=tuple(UPOS[tag] for tag in np.flatnonzero(rule.query)),
        key=tuple(UPOS[tag] for tag in np.flatnonzero(rule.key)),
        reach=Reach("words", rule.lo, rule.hi),
        layers=None if layer is None else (layer,),
        heads=None if head is None else (head,),
        name=name,
    )
