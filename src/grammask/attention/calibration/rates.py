"""What the parts of work cost under one processor, torch version, dtype and number of threads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, get_args

from pydantic import ConfigDict

from .parts import DenseParts, MaskParts, PlanParts, SparseParts

# A forward pass; a forward and backward pass; the same written out in plain PyTorch, which attention dropout and
# learned strengths need.
Pass = Literal["forward", "training", "eager"]
PASSES: Final[tuple[Pass, ...]] = get_args(Pass)


@dataclass(frozen=True)
class PassRates:
    """Nanoseconds for one of each part of a pass, on the dense path and in blocks."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    dense: DenseParts
    sparse: SparseParts


@dataclass(frozen=True, eq=False)
class Rates:
    """Nanoseconds for one of each part of all work, for one processor, torch version, dtype and number of threads.

    `forward`, `training` and `eager` are those of the three kinds of `Pass`; `masks` and `plans` those of making
    dense masks and blocks, once for all layers with equal rules. `source` says in words where they come from.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    forward: PassRates
    training: PassRates
    eager: PassRates
    masks: MaskParts
    plans: PlanParts
    source: str
    least_ms: ClassVar[float] = 0.01  # that a million pairs take at least

    def paths(self) -> Iterator[tuple[str, DenseParts | SparseParts]]:
        """Yield each kind of pass and the prices of a path."""
        for kind in PASSES:
            yield from ((kind, self.of(kind).dense), (kind, self.of(kind).sparse))

    def of(self, kind: Pass) -> PassRates:
        """Return those of one kind of pass."""
        rates: PassRates = getattr(self, kind)
        return rates


def kind_of_pass(*, trains: bool, drops: bool, learned: bool) -> Pass:
    """Return the kind of a call: one that drops weights is the same kind in a recomputed pass without gradients."""
    if drops or (learned and trains):
        return "eager"
    return "training" if trains else "forward"
