"""What the parts of work cost on one card, with one torch version and dtype."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, get_args

import torch
from pydantic import ConfigDict

from ..parts import DenseParts, MaskParts
from .parts import FlexParts, FlexPlanParts

# Neither attention dropout nor learned strengths: "auto" computes those densely.
GpuPass = Literal["forward", "training"]
GPU_PASSES: Final[tuple[GpuPass, ...]] = get_args(GpuPass)
GPU_DTYPES: Final[tuple[torch.dtype, ...]] = (torch.float32, torch.bfloat16)
# The head_dim of the widest heads that are measured: for wider ones a card may not have the memory that kernels share.
WIDEST: Final[int] = 128


@dataclass(frozen=True)
class GpuPassRates:
    """Nanoseconds for one of each part of a pass, on the dense path and by FlexAttention."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    dense: DenseParts
    flex: FlexParts


@dataclass(frozen=True, eq=False)
class GpuRates:
    """Nanoseconds for one of each part of all work, for one card, torch version and dtype.

    `masks` and `plans` are those of making dense masks and FlexAttention's calls, once for all layers with equal rules.
    `source` says in words where they come from.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    forward: GpuPassRates
    training: GpuPassRates
    masks: MaskParts
    plans: FlexPlanParts
    source: str
    least_ms: ClassVar[float] = 1e-5  # that a million pairs take at least

    def paths(self) -> Iterator[tuple[str, DenseParts | FlexParts]]:
        """Yield each kind of pass and the prices of a path."""
        for kind in GPU_PASSES:
            yield from ((kind, self.of(kind).dense), (kind, self.of(kind).flex))

    def of(self, kind: GpuPass) -> GpuPassRates:
        """Return those of one kind of pass."""
        return self.training if kind == "training" else self.forward
