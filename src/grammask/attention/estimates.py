"""What a call costs on this machine, in milliseconds of one layer, planning included.

What a plan makes once for all layers with equal rules counts in equal shares for each of them, whether it is made
already or not: the same call is estimated alike whenever it comes. A plan that a caller made for any number of calls
counts for none of them.
"""

from abc import ABC, abstractmethod
from functools import cached_property

from .blocks.sorted import START
from .calibration.count import Shape, dense_parts, mask_parts
from .calibration.parts import DenseParts, MaskParts
from .dense import heads_of
from .parts import is_large, parts_of
from .plan import Plan
from .position_mask import PositionMask


class Estimate(ABC):
    """Estimates of one call of a plan's layer: of the dense path, and of another one.

    `dense` and `masks` are what the parts of the dense path cost, `source` says where that comes from.
    """

    def __init__(
        self, plan: Plan, layer: int, shape: Shape, position: PositionMask, *, dense: DenseParts, masks: MaskParts,
        source: str,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.layer = layer
        self.shape = shape
        self.position = position
        self.source = source
        self._dense = dense
        self._masks = masks

    @property
    @abstractmethod
    def sparse_ms(self) -> float:
        """The other path's."""

    @property
    @abstractmethod
    def least_sparse_ms(self) -> float:
        """The least that the other path costs, found out sooner."""

    @property
    @abstractmethod
    def starting_ms(self) -> float:
        """The least that it costs whatever is read, found out at once."""

    @property
    def start(self) -> int:
        """What starting a block costs, in pairs that could be computed meanwhile."""
        return START

    @cached_property
    def dense_ms(self) -> float:
        """The dense path's."""
        plan, prices = self.plan, self._dense
        if plan.strategy == "full":
            return dense_parts(self.shape, mask_heads=0).ms(prices)
        if plan.learned is not None:
            return dense_parts(self.shape, mask_heads=plan.learned.shape[1], is_learned=True).ms(prices)
        if plan.adds_nothing(self.layer) and self.position.is_free:
            return dense_parts(self.shape, mask_heads=int(plan.padding is not None)).ms(prices)
        # Large masks of many heads are made part by part, in each layer anew.
        cells, heads = plan.cells(self.layer, self.shape.rows), heads_of(plan.layer_tables[self.layer])
        calls = len(parts_of(cells, self.shape.batch, self.shape.rows))
        call = dense_parts(self.shape, mask_heads=heads, calls=calls)
        mask = mask_parts(plan, mask_heads=heads, masks=calls, rows=self.shape.rows, position=self.position)
        return call.ms(prices) + mask.ms(self._masks) / (1 if is_large(cells) else plan.sharing(self.layer))
