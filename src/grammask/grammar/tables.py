"""A grammar compiled for one layer: for each distinct reach, tag x tag tables of what is allowed and how strongly."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .caching import cache_outside_modes
from .grammar import Grammar
from .rules import Reach
from .tags import NAMED, NEW, TAG_IDS, TAGS, UNK, UPOS

_DOCUMENT = Reach("document")


@dataclass(frozen=True, eq=False)
class ReachTables:
    """The tables of all rules with one reach, in one layer. Nobody changes them: equal layers and calls share them.

    `allowed` (heads, tags, tags) is True where a query tag (row) may read a key tag (column). `strength`, of the same
    shape, is the largest strength of the matching rules, -inf where none matches. `heads` is 1 when all heads agree.
    `sink_tokens`, of the document reach alone, is how many real tokens of each text everyone may read from its first.
    """

    reach: Reach
    allowed: Tensor
    strength: Tensor
    sink_tokens: int = 0

    def to(self, device: torch.device) -> "ReachTables":
        """Return the tables on another device."""
        return replace(self, allowed=self.allowed.to(device), strength=self.strength.to(device))


@cache_outside_modes
def compile_tables(grammar: Grammar, *, layer: int = 0, heads: int = 1) -> tuple[ReachTables, ...]:
    """Compile `grammar` for one layer, counted from 0, of a model with this many heads.

    The first entry is always the document reach: it also holds same-tag reading, the sinks, the number of sink tokens,
    and `[UNK]`, which reads everything and is read by everything. `[NEW]` reads what any part of speech may read. It is
    read within word reaches alone, by whoever reads any part of speech there.
    """
    rows = heads if grammar.varies_by_head else 1
    reaches = [_DOCUMENT, *(rule.reach for rule in grammar.rules)]
    tables = {
        reach: ReachTables(
            reach,
            torch.zeros(rows, len(TAGS), len(TAGS), dtype=torch.bool, device="cpu"),
            torch.full((rows, len(TAGS), len(TAGS)), -torch.inf, dtype=torch.float32, device="cpu"),
            sink_tokens=grammar.sink_tokens if reach == _DOCUMENT else 0,
        )
        for reach in dict.fromkeys(reaches)
    }
    document = tables[_DOCUMENT]
    document.allowed[:, UNK, :] = True
    document.allowed[:, :, UNK] = True
    document.allowed[:, :, [TAG_IDS[tag] for tag in grammar.sinks]] = True
    if grammar.same_tag:
        key = [*range(len(NAMED)), *range(len(UPOS))]
        query = [*range(len(NAMED)), *[NEW] * len(UPOS)]
        document.allowed[:, query, key] = True
        document.strength[:, query, key] = 0.0
    for rule in grammar.rules:
        selected = _indices(row for row in range(rows) if rule.applies(layer, row))
        cells = (selected[:, None, None], _indices(rule.query_ids)[:, None], _indices(rule.key_ids))
        table = tables[rule.reach]
        table.strength[cells] = table.strength[cells].clamp(min=rule.strength)
        if rule.allow:
            table.allowed[cells] = True
    return tuple(tables.values())


def _indices(numbers: Iterable[int]) -> Tensor:
    return torch.tensor(list(numbers), dtype=torch.int64, device="cpu")


def compile_layers(grammar: Grammar, *, layers: int, heads: int) -> tuple[tuple[ReachTables, ...], ...]:
    """Compile `grammar` for every layer of a model; layers with equal tables share one object.

    Raises `GrammarError` when a rule names a layer or head that the model doesn't have.
    """
    grammar.check_fits(layers=layers, heads=heads)
    distinct: dict[tuple[bool, ...], tuple[ReachTables, ...]] = {}
    compiled = []
    for layer in range(layers):
        active = tuple(rule.applies_in_layer(layer) for rule in grammar.rules)
        if active not in distinct:
            distinct[active] = compile_tables(grammar, layer=layer, heads=heads)
        compiled.append(distinct[active])
    return tuple(compiled)
