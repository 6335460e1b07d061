"""What else the machine does while we measure: cores that other processes, or other machines on the host, keep busy."""

import time
from types import TracebackType

import psutil


class Bystanders:
    """Counts over a block; `cores` is how many cores others kept busy on average. Times are only worth it near 0."""

    def __init__(self) -> None:
        self.cores = 0.0

    def __enter__(self) -> "Bystanders":
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
