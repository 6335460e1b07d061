"""Measuring once, keeping what was measured, and using it from then on."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import torch

from ...errors import ExperimentError, InputError
from ...printing import quoted
from .current import are_measured, may_calibrate, use_gpu_rates, use_rates
from .gpu.measure import measure_gpu_rates
from .gpu.rates import GpuRates
from .measure import measure_rates
from .rates import DTYPES, Rates
from .stored import AnyRates, Machine, check_plausible, write_rates

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Calibration(Generic[AnyRates]):
    """What was measured for a machine, in how many seconds, and the file that keeps it."""

    machine: Machine
    rates: AnyRates
    seconds: float
    path: Path


def calibrate(dtype: torch.dtype, threads: int) -> Calibration[Rates]:
    """Measure the rates for a dtype and a number of threads, use them in this process, and keep them.

    Raises `ExperimentError` when their file cannot be written; they are used all the same.
    """
    machine, before = Machine.here(dtype, threads), torch.get_num_threads()
    begun = time.perf_counter()
    try:
        torch.set_num_threads(threads)
        rates = measure_rates(dtype)
    finally:
        torch.set_num_threads(before)
    seconds = time.perf_counter() - begun
    use_rates(dtype, threads, rates)
    return Calibration(machine, rates, seconds, write_rates(machine, rates))


def calibrate_gpu(dtype: torch.dtype) -> Calibration[GpuRates]:
    """Measure the rates of the present GPU for a dtype, use them in this process, and keep them; see `calibrate`.

    Raises `InputError` for what cannot be: it is neither used nor kept.
    """
    card, begun = torch.cuda.get_device_name(), time.perf_counter()
    rates = measure_gpu_rates(dtype, "cuda")
    seconds = time.perf_counter() - begun
    check_plausible(rates, f"what was measured on {card}")
    use_gpu_rates(dtype, card, rates)
    machine = Machine.of_gpu(dtype, card)
    return Calibration(machine, rates, seconds, write_rates(machine, rates))


def is_wanted(asked: bool | None) -> bool:
    """Tell whether a caller lets measure; None leaves that to $GRAMMASK_CALIBRATE. Raises `InputError` for others."""
    if asked is not None and not isinstance(asked, bool):
        raise InputError(f"calibrate must be True, False or None, but is {quoted(asked)}")
    return may_calibrate() if asked is None else asked


def calibrate_once(dtype: torch.dtype) -> None:
    """Measure for a dtype and the present number of threads, unless it was done.

    What is done, and that it cannot be kept, is logged.
    """
    threads = torch.get_num_threads()
    if dtype not in DTYPES or are_measured(dtype, threads):
        return
    what = f"what attention costs on this machine ({dtype}, threads {threads})"
    _LOG.info("measuring %s, once", what)
    try:
        done = calibrate(dtype, threads)
    except ExperimentError as error:
        _LOG.warning("%s was measured, but holds in this process only: %s", what, error)
        return
    _LOG.info("measured %s in %.1f s; kept in %s", what, done.seconds, done.path)
