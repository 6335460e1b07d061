"""Interleaved timing: A B C A B C ..., so that whatever else the machine does falls on all alike."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

LEAST: Final[int] = 3
_MOST: Final[int] = 200


def time_rounds(
    calls: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time the calls in turn and return the seconds of every round, at least three of them.

    Rounds go on until `seconds` are over. What a call needs to be warm must have happened before. The garbage
    collector waits until all are over.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        begun = clock()
        rounds = 0
        while rounds < LEAST or (rounds < _MOST and clock() - begun < seconds):
            for name, call in calls.items():
                start = clock()
                call()
                taken[name].append(clock() - start)
            rounds += 1
    finally:
        if enabled:
            gc.enable()
    return taken


def summarise_rounds(taken: Sequence[float], full: Sequence[float], *, ideal: float | None) -> dict[str, Any]:
    """Return what a row says of its rounds beside those of full attention.

    `speedup` is the median over rounds of full's seconds / its own, with the quartiles beside it. `share_of_ideal` is
    its share of the `ideal` speed-up, where there is one.
    """
    ratios = np.asarray(full) / np.asarray(taken)
    low, speedup, high = (float(value) for value in np.quantile(ratios, [0.25, 0.5, 0.75]))
    return {
        "rounds": len(taken),
        "median_seconds": float(np.median(taken)),
        "speedup": speedup,
        "speedup_quartiles": [low, high],
        "ideal": ideal,
        "share_of_ideal": None if ideal is None else speedup / ideal,
        "seconds": [round(value, 7) for value in taken],
    }
