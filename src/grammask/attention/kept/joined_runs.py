"""Where the slots of runs that are read in one call stand on a board, so that one look-up serves all such calls."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from .slots import Run


@dataclass(frozen=True, eq=False)
class JoinedRuns:
    """The slots of each of several tuples of runs, one run behind the other, each as long as the longest of its tuple.

    `index` (columns,) are the slots on the board, for all tuples; `columns` tells which of them are a tuple's.
    """

    index: Tensor
    columns: dict[tuple[int, ...], slice]

    @classmethod
    def of(cls, joined: Iterable[tuple[int, ...]], runs: Sequence[Run], room: int, nobody: int) -> "JoinedRuns":
        """Find the slots of each tuple, with `room` behind each run; `nobody` is a slot that no query reads."""
        tuples = list(dict.fromkeys(joined))
        slots = [_slots([runs[run] for run in each], room, nobody) for each in tuples]
        edges = accumulate((len(each) for each in slots), initial=0)
        columns = {each: slice(*edge) for each, edge in zip(tuples, pairwise(edges), strict=True)}
        return cls(torch.cat(slots), columns)

    def to(self, device: torch.device) -> "JoinedRuns":
        """Return the same on another device."""
        return JoinedRuns(self.index.to(device), self.columns)


def _slots(runs: Sequence[Run], room: int, nobody: int) -> Tensor:
    longest = max(run.kept for run in runs)
    index = torch.full((len(runs), longest + room), nobody, dtype=torch.int64, device="cpu")
    for row, run in zip(index, runs, strict=True):
        row[: run.kept + room] = torch.arange(run.start, run.start + run.kept + room, dtype=torch.int64, device="cpu")
    return index.flatten()
