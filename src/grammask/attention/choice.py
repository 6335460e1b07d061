"""What dispatch is asked, and what it answers."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from .blocks.sorted import START
from .position_mask import FREE, PositionMask


@dataclass(frozen=True)
class Choice:
    """What a call takes, "dense" or a sparse backend, why, and the estimates behind it (None: not needed).

    Estimates are milliseconds of one layer's pass on this machine, planning included unless the plan was given, by
    `rates`: those that were measured here, or the defaults of this kind of processor. For a GPU there are no defaults,
    and so no estimates before it was measured. `start` is what starting a block costs by them, in pairs.
    """

    backend: str
    reason: str
    dense_ms: float | None = None
    sparse_ms: float | None = None
    rates: str = ""
    start: int = START

    def __str__(self) -> str:
        if self.dense_ms is None:
            return f"{self.backend}: {self.reason} ({self.rates})"
        sparse = "" if self.sparse_ms is None else f", sparse {self.sparse_ms:.2f} ms"
        estimates = f"dense {self.dense_ms:.2f} ms{sparse}; {self.rates}"
        return f"{self.backend}: {self.reason} (estimates a layer: {estimates})"


class Call(NamedTuple):
    """What dispatch needs to know of one call beside its plan.

    `dtype` is what is computed in; `trains` tells that a backward pass will follow, `drops` that attention weights
    will be dropped; `obstacle` says what only the dense path can do, if anything. `position` is the model's own mask;
    queries are the last `queries` places of the batch, None for all.
    """

    layer: int
    heads: int
    key_heads: int
    head_dim: int
    backend: str
    device: torch.device
    dtype: torch.dtype
    trains: bool
    drops: bool
    obstacle: str | None = None
    position: PositionMask = FREE
    queries: int | None = None
