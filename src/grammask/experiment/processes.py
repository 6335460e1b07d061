"""The processes that train a comparison together: a launcher started the same command in each of them.

The main one does all that one process does: it reads, writes and prints. The others follow it: they are told which
comparison it begins and which run it trains, and train along.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Final

from ..errors import ExperimentError
from ..printing import quoted, reason
from .folder import KEPT

_TIMEOUT: Final[timedelta] = timedelta(days=7)  # for what the main process does alone, such as tagging
_REMEDY: Final[str] = "start the command with torchrun or accelerate launch, or unset WORLD_SIZE for one process"


class Processes:
    """All processes that `torchrun` or `accelerate launch` started; one alone where none did.

    Raises `ExperimentError` for what no launcher says.
    """

    def __init__(self) -> None:
        self.count = _said("WORLD_SIZE", lowest=1) if "WORLD_SIZE" in os.environ else 1
        self.is_main = self.count == 1 or _said("RANK", lowest=0) == 0
        if self.count > 1:
            with _ending_at_once():
                self._meet()

    def _meet(self) -> None:
        """Wait for the others."""
        import torch
        from accelerate import PartialState

        try:
            PartialState(cpu=not torch.cuda.is_available(), timeout=_TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise ExperimentError(f"the processes didn't find each other: {reason(error)}; {_REMEDY}") from error

    def share(self, message: Any = None) -> Any:
        """Send a message from the main process to the others, and return it in each; raises `ExperimentError`."""
        if self.count == 1:
            return message
        from accelerate.utils import broadcast_object_list

        with self.together(), nullcontext() if self.is_main else _ending_at_once():
            return broadcast_object_list([message])[0]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do what needs the others; raises `ExperimentError` where one of them is gone."""
        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or not _is_lost(error):
                raise
            raise ExperimentError(
                f"another process ended before its time, and its own message may say why; {KEPT}"
            ) from error

    def mean(self, own: float) -> float:
        """Return the mean of what all processes give."""
        if self.count == 1:
            return own
        from accelerate.utils import gather_object

        each: list[float] = gather_object([own])
        return sum(each) / len(each)

    def leave(self) -> None:
        """Part from the others."""
        if self.count > 1:
            import torch

            torch.distributed.destroy_process_group()

    def split(self, batch_size: int) -> int:
        """Return the texts of a batch that each process takes; raises `ExperimentError` where they don't come out."""
        if batch_size % self.count:
            raise ExperimentError(
                f"--batch-size {batch_size} cannot be split over {self.count} processes; take a multiple of "
                f"{self.count}, or start another number of processes"
            )
        return batch_size // self.count


def _said(name: str, *, lowest: int) -> int:
    """Return a number that a launcher says."""
    text = os.environ.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= lowest):
        raise ExperimentError(f"the environment's {name} is {quoted(text)}, no number from {lowest} on; {_REMEDY}")
    return int(text)


def _is_lost(error: RuntimeError) -> bool:
    """Tell whether a connection is gone; gloo has no class for it."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or "gloo/transport" in str(error)


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Let signals end this process while it waits for another: no line of Python runs then that could answer them.

    Nothing is left to clean up there.
    """
    here = threading.current_thread() is threading.main_thread()
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if here and callable(signal.getsignal(number))]
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
