"""Resident memory of this process, and its peak over a stretch of work."""

import ctypes
import gc
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_INTERVAL = 0.02  # seconds between two samples


def resident() -> int:
    """Return the bytes of this process that are in memory now."""
    return int(psutil.Process().memory_info().rss)


def settle() -> None:
    """Give back what is no longer used, so that it isn't there for the next stretch to use unseen."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


class PeakMemory:
    """The highest resident memory while the block runs, in `bytes`; `method` says how it was found.

    On Linux the kernel keeps it (VmHWM), and starts anew when told so. `getrusage` is of no use here: a new process
    inherits the peak of the one that started it. Elsewhere a thread samples.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.method = "kernel"
        self._sampler: _Sampler | None = None

    def __enter__(self) -> "PeakMemory":
        try:
            _CLEAR.write_text("5")
            _high_water()
        except (OSError, StopIteration):
            self.method = "sampled"
            self._sampler = _Sampler().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sampler is None:
            self.bytes = _high_water()
        else:
            self._sampler.__exit__(kind, error, trace)
            self.bytes = max(self._sampler.bytes, resident())


def _high_water() -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


class _Sampler:
    """Samples the resident memory of this process in a thread; `bytes` is the highest that was seen."""

    def __init__(self) -> None:
        self.bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.bytes = max(self.bytes, process.memory_info().rss)
            if self._done.wait(_INTERVAL):
                return

    def __enter__(self) -> "_Sampler":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
