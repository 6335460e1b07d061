"""From a batch and a layer's rules to the calls of FlexAttention: made once for all layers with equal rules."""

from dataclasses import dataclass

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
from .pair_kind import PairKind, PairTensors, pair_kind, pair_tensors
from .part import Part, parts_for
from .rule_tables import FlexRules, rules_on
from .side import Side, both_sides


@dataclass(frozen=True, eq=False)
class FlexCall:
    """One call: its pairs, its blocks, and where its queries and keys are taken from, int64 (batch, tokens) each.

    `rows` index the queries in the order of the call, `back` the results in the order of the queries, `keys` the keys;
    None: all as they come.
    """

    kind: PairKind
    tensors: PairTensors
    blocks: BlockLists
    rows: Tensor | None = None
    back: Tensor | None = None
    keys: Tensor | None = None


class FlexCalls:
    """The calls of a batch, made when they are first asked for; no pair is read by two calls of one layer.

    `learned` is the plan's learned strengths, if any.
    """

    def __init__(self, annotation: Annotation, strategy: Strategy, learned: Tensor | None) -> None:
        self._annotation = annotation
        self._strategy = strategy
        self._learned_heads = 0 if learned is None else learned.shape[1]
        # Keyed by identity: the key's tables are held beside the value, so that no identity is used again.
        self._kept: dict[tuple[int, PositionMask, int], tuple[object, tuple[FlexCall, ...]]] = {}

    def of(
        self, tables: tuple[ReachTables, ...], reaches: Reaches, position: PositionMask, queries: int
    ) -> tuple[FlexCall, ...]:
        """Return the calls of a layer with these tables, for the last `queries` places."""
        key = (id(tables), position, queries)
        if key not in self._kept:
            with outside_inference_mode():
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
            _call(part, rules, *sides, position, self._learned_heads)
            for part in parts_for(self._strategy, reaches, position)
        )


def _call(
    part: Part, rules: FlexRules, queries: Side, keys: Side, position: PositionMask, learned_heads: int
) -> FlexCall:
    rows = back = of_keys = None
    if part.is_sorted:
        rows = _order(rules.query_rank, queries)
        back, of_keys = torch.argsort(rows, dim=1), _order(rules.key_rank, keys)
        queries, keys = queries.at(rows), keys.at(of_keys)
    kind = pair_kind(part, rules, position, learned_heads)
    blocks = list_blocks(block_map(part, rules, queries, keys, position))
    return FlexCall(kind, pair_tensors(kind, part, rules, queries, keys, position), blocks, rows, back, of_keys)


def _order(rank: Tensor, side: Side) -> Tensor:
    """Return the order by tag, in reading order where tags are equal; sinks come first: all read them."""
    return torch.argsort(rank[side.tags.long()].masked_fill(side.sinks, -1), dim=1, stable=True)
