"""What the parts of work cost on one card, with one torch version and dtype."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, get_args

from pydantic import ConfigDict

from ..parts import MaskParts
from ..rates import ByPass, PassRates
from .parts import FlexParts, FlexPlanParts

# Neither attention dropout nor learned strengths: "auto" computes those densely.
GpuPass = Literal["forward", "training"]
GPU_PASSES: Final[tuple[GpuPass, ...]] = get_args(GpuPass)
# The head_dim of the widest heads that are measured: for wider ones a card may not have the memory that kernels share.
WIDEST: Final[int] = 128


@dataclass(frozen=True, eq=False)
class GpuRates(ByPass[FlexParts]):
    """Nanoseconds for one of each part of all work, for one card, torch version and dtype.

    `masks` and `plans` are those of making dense masks and FlexAttention's calls, once for all layers with equal rules.
    `source` says in words where they come from.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    forward: PassRates[FlexParts]
    training: PassRates[FlexParts]
    masks: MaskParts
    plans: FlexPlanParts
    source: str
    passes = GPU_PASSES
    least_ms = 1e-5
