"""Measuring what the parts of work cost on a card, in short rounds that take turns."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import torch

from ..fit import First, Second, fit_prices
from ..measure import fastest_rounds
from ..parts import Probe
from ..rates import PassRates
from .parts import FlexParts
from .probes import dense_probes, flex_probes, mask_probes, plan_probes
from .rates import GpuPass, GpuRates

_IN_A_ROW: Final[int] = 4  # calls before the device is waited for: in a model, too, it has work meanwhile


def measure_gpu_rates(dtype: torch.dtype, device: str) -> GpuRates:
    """Return the rates of the current card. PyTorch compiles each kind of call first, which takes minutes."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.autocast(device, enabled=False):
        forward, training = (measure_pass(dtype, kind, device) for kind in ("forward", "training"))
        masks, plans = _fit(mask_probes(dtype, device), plan_probes(device), device)
        return GpuRates(forward, training, masks, plans, source="measured on this card")


def measure_pass(dtype: torch.dtype, kind: GpuPass, device: str) -> PassRates[FlexParts]:
    """Return the rates of one kind of pass."""
    return PassRates(*_fit(dense_probes(dtype, kind, device), flex_probes(dtype, kind, device), device))


def _fit(first: Sequence[Probe[First]], second: Sequence[Probe[Second]], device: str) -> tuple[First, Second]:
    """Return the prices of two kinds of work, timed in the same rounds."""
    calls = [probe.call for probe in first] + [probe.call for probe in second]
    for call in calls:
        call()  # compiles
    taken = fastest_rounds([_in_a_row(call, device) for call in calls], time.perf_counter_ns)
    each = [nanoseconds / _IN_A_ROW for nanoseconds in taken]
    return fit_prices([probe.parts for probe in first], [probe.parts for probe in second], each)


def _in_a_row(call: Callable[[], object], device: str) -> Callable[[], object]:
    def run() -> None:
        for _ in range(_IN_A_ROW):
            call()
        if device == "cuda":
            torch.cuda.synchronize()

    return run
