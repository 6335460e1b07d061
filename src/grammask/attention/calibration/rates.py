"""What the parts of work cost under one processor, torch version, dtype and number of threads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, Literal, TypeVar, get_args

import torch
from pydantic import ConfigDict

from .gpu.parts import FlexParts
from .parts import DenseParts, MaskParts, PlanParts, SparseParts

DTYPES: Final[tuple[torch.dtype, ...]] = (torch.float32, torch.bfloat16)  # that are measured

# A forward pass; a forward and backward pass; the same written out in plain PyTorch, which attention dropout and
# learned strengths need.
Pass = Literal["forward", "training", "eager"]
PASSES: Final[tuple[Pass, ...]] = get_args(Pass)

OtherParts = TypeVar("OtherParts", SparseParts, FlexParts)


@dataclass(frozen=True)
class PassRates(Generic[OtherParts]):
    """Nanoseconds for one of each part of a pass, on the dense path and in blocks, or on a GPU by FlexAttention."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    dense: DenseParts
    sparse: OtherParts


class ByPass(Generic[OtherParts]):
    """Rates that hold those of each kind of its `passes` under its name.

    `least_ms` is what a million pairs take at least, on any device of their kind.
    """

    passes: ClassVar[tuple[Pass, ...]]
    least_ms: ClassVar[float]

    def of(self, kind: Pass) -> PassRates[OtherParts]:
        """Return those of one kind of pass."""
        rates: PassRates[OtherParts] = getattr(self, kind)
        return rates

    def paths(self) -> Iterator[tuple[Pass, DenseParts | OtherParts]]:
        """Yield each kind of pass and the prices of a path."""
        for kind in self.passes:
            yield from ((kind, self.of(kind).dense), (kind, self.of(kind).sparse))


@dataclass(frozen=True, eq=False)
class Rates(ByPass[SparseParts]):
    """Nanoseconds for one of each part of all work, for one processor, torch version, dtype and number of threads.

    `forward`, `training` and `eager` are those of the three kinds of `Pass`; `masks` and `plans` those of making
    dense masks and blocks, once for all layers with equal rules. `source` says in words where they come from.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    forward: PassRates[SparseParts]
    training: PassRates[SparseParts]
    eager: PassRates[SparseParts]
    masks: MaskParts
    plans: PlanParts
    source: str
    passes = PASSES
    least_ms = 0.01


def kind_of_pass(*, trains: bool, drops: bool, learned: bool) -> Pass:
    """Return the kind of a call: one that drops weights is the same kind in a recomputed pass without gradients."""
    if drops or (learned and trains):
        return "eager"
    return "training" if trains else "forward"
