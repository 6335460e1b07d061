"""The processes that train a comparison together: a launcher started the same command in each of them.

The main one does all that one process does: it reads, writes and prints. The others follow it: they are told which
comparison it begins and which run it trains, and train along.
"""

import os
from datetime import timedelta
from typing import Any, Final

from ..errors import ExperimentError

_TIMEOUT: Final[timedelta] = timedelta(days=7)  # for what the main process does alone, such as tagging


class Processes:
    """All processes that `torchrun` or `accelerate launch` started; one alone where none did."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.is_main = self.count == 1 or int(os.environ["RANK"]) == 0
        if self.count > 1:
            import torch
            from accelerate import PartialState

            PartialState(cpu=not torch.cuda.is_available(), timeout=_TIMEOUT)

    def share(self, message: Any = None) -> Any:
        """Send a message from the main process to the others, and return it in each; raises `ExperimentError`."""
        if self.count == 1:
            return message
        from accelerate.utils import broadcast_object_list

        try:
            return broadcast_object_list([message])[0]
        except RuntimeError as error:  # the connection is gone
            raise ExperimentError("another process ended before its time; its own message says why") from error

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
