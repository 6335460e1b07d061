"""Interleaved timing, A B C A B C ..., so that other load falls on all alike; and how much other load there was."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

import numpy as np
import psutil
import torch

LEAST: Final[int] = 3
_MOST: Final[int] = 200


def time_rounds(
    calls: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    finish: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Time the calls in turn and return the seconds of every round, at least three of them.

    Rounds go on for `seconds`. Calls must be warm already, and last until `finish` returns. The garbage
    collector is off meanwhile.
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
                finish()
                taken[name].append(clock() - start)
            rounds += 1
    finally:
        if enabled:
            gc.enable()
    return taken


def finisher(device: str) -> Callable[[], None]:
    """Return what waits for all work on a device."""
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def call_bytes(call: Callable[[], object]) -> int:
    """Return the GPU memory that a call takes at most above what is held before it."""
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_allocated() - held


def summarise_rounds(taken: Sequence[float], full: Sequence[float], *, ideal: float | None) -> dict[str, Any]:
    """Return what a row says about its rounds, compared with those of full attention.

    `speedup` is the median over rounds of full's seconds / its own, with the quartiles next to it, and `ratio` that of
    its own / full's. `share_of_ideal` is its share of the `ideal` speed-up, where there is one.
    """
    ratios = np.asarray(full) / np.asarray(taken)
    low, speedup, high = (float(value) for value in np.quantile(ratios, [0.25, 0.5, 0.75]))
    return {
        "rounds": len(taken),
        "median_seconds": float(np.median(taken)),
        "speedup": speedup,
        "speedup_quartiles": [low, high],
        "ratio": float(np.median(1 / ratios)),
        "ideal": ideal,
        "share_of_ideal": None if ideal is None else speedup / ideal,
        "seconds": [round(value, 7) for value in taken],
    }


class OtherLoad:
    """Measures over a `with` block how many `cores` others kept busy on average. Trust times only where it is near 0.

    Others are processes of this machine, and other virtual machines on its host.
    """

    def __init__(self) -> None:
        self.cores = 0.0

    def __enter__(self) -> "OtherLoad":
        self._start = _now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wall, machine, own = (now - before for now, before in zip(_now(), self._start, strict=True))
        self.cores = round(max(machine - own, 0.0) / wall, 2) if wall > 0 else 0.0


def _now() -> tuple[float, float, float]:
    """Return wall-clock seconds, and the processor seconds of the whole machine and of this process."""
    machine, own = psutil.cpu_times()._asdict(), psutil.Process().cpu_times()
    idle = machine.get("idle", 0.0) + machine.get("iowait", 0.0)
    # guest times are in user and nice already
    total = sum(value for name, value in machine.items() if not name.startswith("guest"))
    return time.perf_counter(), total - idle, own.user + own.system
