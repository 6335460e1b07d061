"""Rates as a card might have them."""

from dataclasses import replace

from grammask.attention.calibration.gpu.parts import FlexParts, FlexPlanParts
from grammask.attention.calibration.gpu.rates import GpuRates
from grammask.attention.calibration.parts import DenseParts, MaskParts
from grammask.attention.calibration.rates import PassRates


def gpu_rates(*, dense_score=1e-4, flex_score=1e-4, start=2e4):
    """Return rates as a card might have them, but for what a pair and a start cost."""
    of_pass = PassRates(
        dense=DenseParts(1e4, 1e-4, 0, 0, 1e-6, dense_score, 1e-4, 0),
        sparse=FlexParts(start, 1e-4, 1e-6, flex_score, 3 * flex_score, 0, 1e-4, 1e-4),
    )
    training = replace(of_pass, dense=of_pass.dense.times(scores=3), sparse=of_pass.sparse.times(scores=3))
    plans = FlexPlanParts(1e6, 1e-2, 1)
    return GpuRates(of_pass, training, MaskParts(1e5, 1e-4, 0, 1e-4, 1e-4), plans, "measured on this card")
