"""From a batch and a layer's rules to the calls of FlexAttention: made once for all layers with equal rules."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...grammar.caching import outside_inference_mode
from ...grammar.rules import Strategy
from ...grammar.tables import ReachTables
from ..backends import Reaches
from ..inputs import Annotation
from ..position_mask import PositionMask
from .block_lists import BlockLists, list_blocks
from .block_map import block_map
from .pair_tensors import PairKind, PairTensors, pair_kind, pair_tensors
from .part import Part, parts_for
from .rule_tables import FlexRules, rules_on
from .side import Side, both_sides


class Order(NamedTuple):
    """Which token comes where, and the reverse: int64 (batch, tokens) each."""

    places: Tensor
    reverse: Tensor

    @property
    def turned(self) -> "Order":
        """The order that undoes this one."""
        return Order(self.reverse, self.places)


class FlexCall(NamedTuple):
    """One call: its pairs, its blocks, and the orders that it takes queries (`rows`) and keys in; None: as given."""

    kind: PairKind
    tensors: PairTensors
    blocks: BlockLists
    rows: Order | None = None
    keys: Order | None = None


class FlexCalls:
    """The calls of a batch, made when they are first asked for; no pair is read by two calls of one layer.

    `learned` is the plan's learned strengths, if any.
    """

    def __init__(self, annotation: Annotation, strategy: Strategy, learned: Tensor | None) -> None:
        self._annotation = annotation
        self._strategy = strategy
        self._learns = learned is not None
        # Keyed by identity: the key's tables are held beside the value, so that no identity is used again.
        self._kept: dict[tuple[int, PositionMask, int], tuple[object, tuple[FlexCall, ...]]] = {}

    def of(
        self, tables: tuple[ReachTables, ...], reaches: Reaches, position: PositionMask, queries: int
    ) -> tuple[FlexCall, ...]:
        """Return the calls of a layer with these tables, for the last `queries` places."""
        key = (id(tables), position, queries)
        if key not in self._kept:
            # Autocast would round the counts of pairs by which blocks are full.
            device = self._annotation.tag_ids.device.type
            with outside_inference_mode(), torch.autocast(device, enabled=False):
                calls = self._made(tables, reaches, position, queries)
            self._kept.setdefault(key, (tables, calls))
        return self._kept[key][1]

    def _made(
        self, tables: tuple[ReachTables, ...], reaches: Reaches, position: PositionMask, queries: int
    ) -> tuple[FlexCall, ...]:
        rules = rules_on(tables, self._annotation.tag_ids.device)
        as_queries, as_keys = both_sides(self._annotation, rules.sink_tokens)
        sides = as_queries.last(queries), as_keys
        return tuple(
            _call(part, rules, *sides, position, self._learns) for part in parts_for(self._strategy, reaches, position)
        )


def _call(part: Part, rules: FlexRules, queries: Side, keys: Side, position: PositionMask, learns: bool) -> FlexCall:
    rows = of_keys = None
    if part.is_sorted:
        rows, of_keys = _order(rules.query_rank, queries), _order(rules.key_rank, keys)
        queries, keys = queries.at(rows.places), keys.at(of_keys.places)
    tensors = pair_tensors(part, rules, queries, keys, position, learns)
    blocks = list_blocks(block_map(part, rules, queries, keys, position))
    return FlexCall(pair_kind(part, rules, learns), tensors, blocks, rows, of_keys)


def _order(rank: Tensor, side: Side) -> Order:
    """Return the order by tag, in reading order where tags are equal; sinks come first: all read them."""
    places = torch.argsort(rank[side.tags.long()].masked_fill(side.sinks, -1), dim=1, stable=True)
    return Order(places, torch.argsort(places, dim=1))
