"""What a call costs by FlexAttention on a GPU whose rates were measured."""

from functools import cached_property

from .calibration.count import Shape
from .calibration.gpu.count import CountedCall, flex_parts, flex_plan_parts, typical_calls
from .calibration.gpu.rates import GpuRates
from .estimates import Estimate
from .plan import Plan
from .position_mask import PositionMask


class FlexEstimate(Estimate):
    """Estimates of FlexAttention on a GPU, for texts that are tagged about as English is: no tag is read from there."""

    def __init__(
        self, plan: Plan, layer: int, shape: Shape, position: PositionMask, *, trains: bool, rates: GpuRates
    ) -> None:
        of_pass = rates.of("training" if trains else "forward")
        super().__init__(plan, layer, shape, position, dense=of_pass.dense, masks=rates.masks, source=rates.source)
        self._flex = of_pass.sparse
        self._plans = rates.plans

    @cached_property
    def sparse_ms(self) -> float:
        """That of the calls of FlexAttention."""
        made = flex_plan_parts(self._calls, self.shape).ms(self._plans)
        return flex_parts(self._calls, self.shape).ms(self._flex) + made / self.plan.sharing(self.layer)

    @property
    def least_sparse_ms(self) -> float:
        """The start of one call."""
        return self.starting_ms

    @property
    def starting_ms(self) -> float:
        """The start of one call."""
        return self._flex.calls * 1e-6

    @cached_property
    def _calls(self) -> tuple[CountedCall, ...]:
        plan = self.plan
        tables, reaches = plan.layer_tables[self.layer], plan.lookup(self.layer).reaches
        return typical_calls(tables, reaches, plan.strategy, self.position, self.shape)
