"""Measuring what the parts of work cost here and now, in short rounds that take turns."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import torch

from .fit import First, Second, fit_prices
from .made_up import mask_probes, plan_probes
from .parts import KERNEL, Probe, SparseParts
from .probes import dense_probes, sparse_probes
from .rates import PASSES, Pass, PassRates, Rates

_NANOSECONDS: Final[int] = 100_000_000  # for each kind of work, unless the fewest rounds take longer
_ROUNDS: Final[tuple[int, int]] = (2, 15)  # one could meet a busy moment
_TURN: Final[int] = 2_000_000  # nanoseconds of a turn in which a short call is made again and again
_CALLS: Final[tuple[int, int]] = (2, 8)


def measure_rates(dtype: torch.dtype) -> Rates:
    """Return the rates of this machine for `dtype` and the present number of threads.

    The global random generator is left as it was, and PyTorch's modes of the caller don't hold.
    """
    with (
        torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.device("cpu"),
        torch.autocast("cpu", enabled=False),
    ):  # fmt: skip
        return _measure(dtype)


def _measure(dtype: torch.dtype) -> Rates:
    passes: dict[Pass, PassRates[SparseParts]] = {kind: _measure_pass(dtype, kind) for kind in PASSES}
    masks, plans = _fit(mask_probes(dtype), plan_probes())
    return Rates(**passes, masks=masks, plans=plans, source="measured on this machine")


def _measure_pass(dtype: torch.dtype, kind: Pass) -> PassRates[SparseParts]:
    # Each thread has work, as in a model. What is written out takes long enough with one head each.
    heads = max(1 if kind == "eager" else 2, torch.get_num_threads())
    dense, sparse = dense_probes(dtype, kind, heads=heads), sparse_probes(dtype, kind, heads=heads)
    # Both paths call the fused kernel, but for what is written out.
    return PassRates(*_fit(dense, sparse, shared=() if kind == "eager" else KERNEL))


def _fit(
    first: Sequence[Probe[First]], second: Sequence[Probe[Second]], *, shared: Sequence[str] = ()
) -> tuple[First, Second]:
    """Return the prices of two kinds of work, timed in the same rounds: what counts most is how they compare."""
    # A single thread's own time leaves out what other programs took meanwhile.
    clock = time.thread_time_ns if torch.get_num_threads() == 1 else time.perf_counter_ns
    taken = fastest_rounds([probe.call for probe in first] + [probe.call for probe in second], clock)
    return fit_prices([probe.parts for probe in first], [probe.parts for probe in second], taken, shared=shared)


def fastest_rounds(calls: Sequence[Callable[[], object]], clock: Callable[[], int]) -> list[int]:
    """Return the fewest nanoseconds of a `clock` that each call took, over rounds in which all take turns.

    Each is made several times in its turn, as a model calls layer after layer: the later ones find their code in the
    cache, on which short calls hang most.
    """
    fastest = [1 << 62] * len(calls)
    begun, (least, most) = clock(), _ROUNDS
    for done in range(most):
        if done >= least and clock() - begun > _NANOSECONDS:
            break
        for place, call in enumerate(calls):
            fastest[place] = min(fastest[place], _fastest_of_turn(call, clock))
    return fastest


def _fastest_of_turn(call: Callable[[], object], clock: Callable[[], int]) -> int:
    taken: list[int] = []
    (least, most), begun = _CALLS, clock()
    while len(taken) < least or (len(taken) < most and clock() - begun < _TURN):
        start = clock()
        call()
        taken.append(clock() - start)
    return min(taken)
