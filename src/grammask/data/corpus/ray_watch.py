"""A Ray cluster, watched while it works: what it loses is told in seconds.

Where its head is lost Ray waits for a minute, and then ends the process that asked without a word, with nothing cleaned
up; where that process loses its own node, at once. Where its last node is lost Ray waits for another one, for ever, and
doesn't tell.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from ...errors import ExperimentError
from ...printing import printable
from .ray_cluster import knock

Item = TypeVar("Item")
_PULSE: Final[float] = 2.0  # seconds between two looks
_PATIENCE: Final[float] = 10.0  # seconds until a head that doesn't answer is lost
# Reads to the end of what this process holds open: "left" where it leaves in order, nothing where it is ended.
_WAIT: Final[str] = "import sys; sys.stdin.read() or print(sys.argv[1], file=sys.stderr)"
_LEFT: Final[bytes] = b"left"


class HeadLostError(ExperimentError):
    """Nobody answers any more where the head of the cluster was; Ray can't even be shut down in order."""


class Cluster:
    """The cluster that this process is connected to; says which nodes leave it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._head = _find_head()
        self._seen = time.monotonic()
        self._working: dict[str, str] | None = None

    def look(self) -> None:
        """Say what was lost since the last look; raises `HeadLostError` where the head is."""
        if _answers(self._head):
            self._seen = time.monotonic()
            self._count()
        elif time.monotonic() - self._seen > _PATIENCE:
            raise HeadLostError(
                f"the head of the Ray cluster, {self._head}, doesn't answer any more; finished parts are kept: start "
                "the cluster and call again to go on"
            )

    def _count(self) -> None:
        before, self._working = self._working, _working()
        for node in (before or {}).keys() - self._working.keys():
            self._say(f"node {(before or {})[node]} left the cluster; others make the parts that it was at")
        if not self._working and (before is None or before):
            self._say("no node of the cluster has a CPU; waiting for one to join")


def watched(waiting: Iterator[Item], look: Callable[[], None]) -> Iterator[Item]:
    """Return what an iterator gives, waited for in a thread, and look every few seconds; raises what both raise."""
    taken: SimpleQueue[tuple[Item, ...] | BaseException] = SimpleQueue()
    Thread(target=_take, args=(waiting, taken), daemon=True).start()
    looked = time.monotonic()
    while True:
        with suppress(Empty):
            found = taken.get(timeout=_PULSE)
            if isinstance(found, BaseException):
                raise found
            if not found:
                return
            yield found[0]
        if time.monotonic() - looked >= _PULSE:
            look()
            looked = time.monotonic()


@contextmanager
def last_word(said: str) -> Iterator[None]:
    """Say it from another process if this one is ended inside the block; not where the block is left, however it is."""
    waiting = subprocess.Popen(  # noqa: S603 - an argument of its own
        [sys.executable, "-c", _WAIT, said],
        stdin=subprocess.PIPE,
        start_new_session=True,  # what interrupts this process leaves it alone
    )
    try:
        yield
    finally:
        waiting.communicate(_LEFT)


def _take(waiting: Iterator[Item], taken: "SimpleQueue[tuple[Item, ...] | BaseException]") -> None:
    try:
        for item in waiting:
            taken.put((item,))
        taken.put(())
    except BaseException as error:  # raised again by who waits for it
        taken.put(error)


def _find_head() -> str:
    """Return where the head of the cluster listens."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


def _answers(head: str) -> bool:
    with suppress(OSError, ValueError):  # what is no address doesn't answer
        knock(head, _PULSE)
        return True
    return False


def _working() -> dict[str, str]:
    """Return the addresses of the nodes that have a CPU, by their ids."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {
        node["NodeID"]: printable(node["NodeManagerAddress"])
        for node in nodes
        if node["Alive"] and node["Resources"].get("CPU")
    }
