"""What a call costs in blocks on the CPU, from the plan's own blocks."""

import math
from functools import cached_property

import torch

from .blocks.sorted import START
from .calibration.count import Shape, plan_parts, sparse_parts, tile
from .calibration.rates import Rates, kind_of_pass
from .estimates import Estimate
from .least_pairs import LeastPairs, least_pairs
from .plan import Plan
from .position_mask import FREE, PositionMask


class BlockEstimate(Estimate):
    """Estimates of blocks on the CPU."""

    def __init__(
        self, plan: Plan, layer: int, shape: Shape, dtype: torch.dtype, position: PositionMask = FREE, *, trains: bool,
        drops: bool, rates: Rates,
    ) -> None:  # fmt: skip
        of_pass = rates.of(kind_of_pass(trains=trains, drops=drops, learned=plan.learned is not None))
        super().__init__(plan, layer, shape, position, dense=of_pass.dense, masks=rates.masks, source=rates.source)
        self._dtype = dtype
        self._drops = drops
        self._sparse = of_pass.sparse
        self._plans = rates.plans

    @cached_property
    def sparse_ms(self) -> float:
        """That of the plan's blocks."""
        groups = self.plan.block_groups(
            self._like(), self.position, queries=self.shape.rows, drops=self._drops, start=self.start
        )
        call = sparse_parts(groups, self.shape, self._dtype, drops=self._drops)
        made = plan_parts(groups, self.plan.strategy).ms(self._plans)
        return call.ms(self._sparse) + made / self.plan.sharing(self.layer)

    @cached_property
    def least_sparse_ms(self) -> float:
        """The least that the blocks cost, without making them: one of each text, and the pairs of `least_pairs`."""
        plan = self.plan
        if plan.annotation is None or not self.position.is_free or self.shape.rows < self.shape.length:
            return self.starting_ms
        return self._of_pairs(least_pairs(plan.lookup(self.layer), plan.annotation, plan.strategy))

    @cached_property
    def starting_ms(self) -> float:
        """The least that any blocks cost: one of each text, whatever is read."""
        return self._of_pairs(LeastPairs())

    def _of_pairs(self, pairs: LeastPairs) -> float:
        shape = self.shape
        call, plan = self._sparse, self._plans
        # A band has no room for the few queries, such as [CLS], that read the whole text.
        blocks = shape.batch * (2 if pairs.banded and pairs.rectangles else 1)
        masked = call.masked + (call.converted if self.plan.lookup(self.layer).heads > 1 else 0.0)
        score = call.products * shape.head_dim + call.scores
        calling = call.calls + blocks * (call.groups + call.starts)
        per_query = shape.heads * (shape.head_dim * call.numbers_out + call.tiles / tile(shape.rows))
        calling += shape.batch * shape.rows * per_query
        calling += shape.heads * (pairs.rectangles * score + pairs.banded * (score + masked))
        planning = shape.batch * (plan.texts + plan.tokens * (shape.rows + shape.length)) + blocks * plan.blocks
        planning += pairs.banded * (plan.pairs + plan.cells)
        return (calling + planning / self.plan.sharing(self.layer)) * 1e-6

    def _like(self) -> int:
        """Return the first layer of the plan whose blocks cost about as much: making those of each would cost more."""
        plan, kind = self.plan, self.plan.lookup(self.layer).kind
        return next(layer for layer in range(len(plan.layer_tables)) if plan.lookup(layer).kind == kind)

    @cached_property
    def start(self) -> int:
        """What starting a block costs, in pairs that could be computed meanwhile: a power of 2, so that plans recur."""
        prices, heads = self._sparse, self.shape.heads
        pair = heads * (prices.products * self.shape.head_dim + prices.scores)
        pairs = (prices.starts + heads * prices.tiles) / pair if pair else START
        return 1 << round(min(max(math.log2(max(pairs, 1)), 6), 14))
