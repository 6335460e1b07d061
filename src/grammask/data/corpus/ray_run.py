"""Parts on Ray Data: a pool of processes that each load the tagger once, on this machine or a cluster.

Ray Data's own writers name files by their tasks, so that what is written twice is there twice. Here its rows are the
parts, and each writes its own file: Ray may run a part twice, and nothing is lost or doubled.
"""

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ...errors import ExperimentError, GrammaskError
from ...printing import made_of, reason
from .corpus_parts import Part
from .ray_cluster import find_cluster
from .ray_nodes import alike, find_missing
from .ray_watch import Cluster, HeadLostError, last_word, watched
from .ray_worker import Worker, outcome
from .write_part import Done, PartWriter

_MOST_BLOCKS: Final[int] = 10_000  # what Ray schedules at once; more parts share them
_STORE: Final[int] = 100 << 20  # bytes; only names of parts go through Ray
_LAST: Final[str] = (
    "grammask: the command was ended, as Ray does where it stops on this machine; finished parts are kept: start Ray "
    "and call again to go on"
)
_ON_A_NODE: Final[str] = "call on a machine that is a node of it, or send the command there with ray job submit"
# Said before Ray is started: no counting of users, no copy of the working folder, no advice on its own settings.
_QUIET: Final[dict[str, str]] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True)
class RayRun:
    """Runs parts in `workers` processes, one a CPU by default, of the cluster at `address` or of this machine.

    It says what nodes a cluster loses meanwhile.
    """

    address: str | None = None
    workers: int | None = None
    say: Callable[[str], None] = warnings.warn

    def __call__(self, write: PartWriter, parts: Sequence[Part]) -> Iterator[Done]:
        """Return what came of each part as it is done; raises the `GrammaskError` of a worker, or `ExperimentError`."""
        spoken = nullcontext() if self.address is None else last_word(_LAST)
        with spoken, self._connected():
            try:
                yield from self._run(write, parts)
            except GrammaskError:
                raise
            except Exception as error:  # Ray wraps what went wrong with a worker, several times over
                raise _cause(error) from error

    def _run(self, write: PartWriter, parts: Sequence[Part]) -> Iterator[Done]:
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it logs as an error it raises too
        items = [{"part": json.dumps(asdict(part))} for part in parts]
        pool = ray.data.ActorPoolStrategy(size=self._count(len(items)))
        waiting = ray.data.from_items(items, override_num_blocks=min(len(items), _MOST_BLOCKS))
        with nullcontext() if self.address is None else alike(Path(write.out)) as nodes:
            made = (write, nodes)
            rows = waiting.map_batches(Worker, fn_constructor_args=made, batch_size=1, compute=pool, num_cpus=1)
            for row in watched(iter(rows.iter_rows()), Cluster(self.say).look):
                yield outcome(row["outcome"])

    @contextmanager
    def _connected(self) -> Iterator[None]:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        place = self._place()
        import ray.data

        try:
            self._connect(place)
            yield
        except HeadLostError:  # Ray cannot be shut down in order: it would wait, and end this process without a word
            raise
        except BaseException:
            ray.shutdown()
            raise
        ray.shutdown()

    def _connect(self, place: dict[str, Any]) -> None:
        import ray

        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with _hushed():
                ray.init(**place, log_to_driver=False, logging_level=logging.ERROR)
                ray._private.worker._worker_logs_enabled = False  # stacks of what is tried again, whatever is set
        except Exception as error:  # of many kinds, for what a cluster or this machine lacks
            where = "Ray cannot be started" if self.address is None else f"--address {self.address}: Ray cannot use it"
            far = f"; {_ON_A_NODE}" if isinstance(error, ConnectionError) and self.address is not None else ""
            raise ExperimentError(f"{where}: {reason(error)}{far}") from error
        for number, handler in handlers.items():  # Ray answers signals by ending the process
            signal.signal(number, handler)

    def _place(self) -> dict[str, Any]:
        if self.address is not None:
            return {"address": find_cluster(self.address)}
        several = None if self.workers is None else max(self.workers, os.cpu_count() or 1)
        return {
            "address": "local", "include_dashboard": False, "num_cpus": several, "object_store_memory": _STORE,
        }  # fmt: skip

    def _count(self, parts: int) -> int:
        import ray

        there: Any = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = int(there.get("CPU", 1))
        return max(1, min(parts, cpus, self.workers or cpus))


@contextmanager
def _hushed() -> Iterator[None]:
    """Drop what Ray's compiled code, which knows no streams of Python, says as it starts; what matters is raised."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _cause(error: BaseException) -> ExperimentError:
    """Say in one line what Ray says, and what to do."""
    for said in made_of(error):
        if missing := find_missing(str(said)):
            return ExperimentError(missing)
    return ExperimentError(f"Ray: {reason(error)}; call again to go on")
