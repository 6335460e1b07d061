"""What a call costs on this machine, in milliseconds of one layer, planning included.

What a plan makes once for all layers with equal rules counts in equal shares for each of them, whether it is made
already or not: the same call is estimated alike whenever it comes.
"""

import math
from functools import cached_property

import torch

from .blocks.sorted import START
from .calibration.count import Shape, dense_parts, mask_parts, plan_parts, sparse_parts
from .calibration.rates import Pass, Rates, kind_of_pass
from .dense import heads_of
from .parts import is_large, parts_of
from .plan import Plan
from .position_mask import FREE, PositionMask


class Estimate:
    """Estimates of one call of a plan's layer, at some rates."""

    def __init__(
        self, plan: Plan, layer: int, shape: Shape, dtype: torch.dtype, position: PositionMask = FREE, *, trains: bool,
        drops: bool, rates: Rates,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.layer = layer
        self.shape = shape
        self.dtype = dtype
        self.position = position
        self.drops = drops
        self.rates = rates
        self.kind: Pass = kind_of_pass(trains=trains, drops=drops, learned=plan.learned is not None)

    @cached_property
    def dense_ms(self) -> float:
        """The dense path's."""
        plan, prices = self.plan, self.rates.of(self.kind).dense
        if plan.strategy == "full":
            return dense_parts(self.shape, mask_heads=0).ms(prices)
        if plan.learned is not None:
            return dense_parts(self.shape, mask_heads=plan.learned.shape[1], is_learned=True).ms(prices)
        # Large masks of many heads are made part by part, in each layer anew.
        if plan.adds_nothing(self.layer) and self.position.is_free:
            return dense_parts(self.shape, mask_heads=int(plan.padding is not None)).ms(prices)
        cells, heads = plan.cells(self.layer, self.shape.rows), heads_of(plan.layer_tables[self.layer])
        calls = len(parts_of(cells, self.shape.batch, self.shape.rows))
        call = dense_parts(self.shape, mask_heads=heads, calls=calls)
        mask = mask_parts(plan.shape, mask_heads=heads, masks=calls, rows=self.shape.rows)
        return call.ms(prices) + mask.ms(self.rates.masks) / (1 if is_large(cells) else plan.sharing(self.layer))

    @cached_property
    def sparse_ms(self) -> float:
        """That of the plan's blocks."""
        groups = self.plan.block_groups(
            self._like(), self.position, queries=self.shape.rows, drops=self.drops, start=self.start
        )
        call = sparse_parts(groups, self.shape, self.dtype, drops=self.drops)
        planning = plan_parts(groups).ms(self.rates.plans) / self.plan.sharing(self.layer)
        return call.ms(self.rates.of(self.kind).sparse) + planning

    @cached_property
    def least_sparse_ms(self) -> float:
        """The least that any blocks cost, without making them: one of each text, with one key for each query."""
        batch, numbers = self.shape.batch, self.shape.batch * self.shape.rows * self.shape.heads * self.shape.head_dim
        call, plan = self.rates.of(self.kind).sparse, self.rates.plans
        calling = call.calls + batch * (call.groups + call.starts) + numbers * call.numbers_out
        planning = batch * (plan.texts + plan.blocks + plan.tokens * (self.shape.rows + self.shape.length))
        return (calling + planning / self.plan.sharing(self.layer)) * 1e-6

    def _like(self) -> int:
        """Return the first layer of the plan whose blocks cost about as much: making those of each would cost more."""
        plan, kind = self.plan, self.plan.lookup(self.layer).kind
        return next(layer for layer in range(len(plan.layer_tables)) if plan.lookup(layer).kind == kind)

    @cached_property
    def start(self) -> int:
        """What starting a block costs, in pairs that could be computed meanwhile: a power of 2, so that plans recur."""
        prices, heads = self.rates.of(self.kind).sparse, self.shape.heads
        pair = heads * (prices.products * self.shape.head_dim + prices.scores)
        pairs = (prices.starts + heads * prices.tiles) / pair if pair else START
        return 1 << round(min(max(math.log2(max(pairs, 1)), 6), 14))
