"""The parts of work that calls and plans are made of: how many of each, or what one of each costs in nanoseconds."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from operator import mul
from typing import Annotated, ClassVar, Final, Generic, Self, TypeVar

from pydantic import ConfigDict, Field

# A price is measured, so anything beyond these bounds is damage: a second for one part of any work.
Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


@dataclass(frozen=True)
class Parts:
    """Counts of parts of work, or the price of one of each in nanoseconds."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the parts, in order."""
        return tuple(field.name for field in fields(cls))

    @property
    def numbers(self) -> tuple[float, ...]:
        """The counts or prices, in order."""
        return tuple(vars(self).values())

    def ms(self, prices: Self) -> float:
        """Return what these counts cost at `prices`, in milliseconds."""
        return float(sum(map(mul, self.numbers, prices.numbers))) * 1e-6

    def times(self, **factors: float) -> Self:
        """Return a copy with some of the numbers multiplied."""
        return replace(self, **{name: getattr(self, name) * factor for name, factor in factors.items()})


@dataclass(frozen=True)
class DenseParts(Parts):
    """One call on the dense path.

    Counted are: `calls`; `numbers_out`, the numbers of the output; `tiles`, runs of queries that the fused kernel takes
    at a time, x heads; `loads`, the keys of each tile x head_dim; `products`, pairs of a query and a key x heads x
    head_dim; `scores`, pairs x heads; `masked`, those under a mask or bias; `gathered`, cells of a learned
    bias that the call looks up.
    """

    calls: Amount
    numbers_out: Amount
    tiles: Amount
    loads: Amount
    products: Amount
    scores: Amount
    masked: Amount
    gathered: Amount


@dataclass(frozen=True)
class SparseParts(Parts):
    """One call in blocks.

    Counted are: `calls`; `groups`, head groups; `starts`, blocks of each head group; `tiles`, `loads`, `products` and
    `scores` as in `DenseParts`; `masked`, scores under a mask of their own; `rows`, those under one row of bias;
    `converted`, cells of bool masks; `explicit`, cells of a bias that is made anew in each call; `copies`, tokens that
    are reordered, `copied_rows` and `copied_keys`, numbers of queries and of keys among them; `merged`, numbers merged
    by log-sum-exp; `numbers_out` as above.
    """

    calls: Amount
    groups: Amount
    starts: Amount
    tiles: Amount
    loads: Amount
    products: Amount
    scores: Amount
    masked: Amount
    rows: Amount
    converted: Amount
    explicit: Amount
    copies: Amount
    copied_rows: Amount
    copied_keys: Amount
    merged: Amount
    numbers_out: Amount


KERNEL: Final[tuple[str, ...]] = ("tiles", "loads", "products", "scores", "masked")  # parts of the fused kernel's work


@dataclass(frozen=True)
class MaskParts(Parts):
    """Dense masks or biases.

    Counted are: `masks`; `pairs` that are looked up; `hard`, those of them in hard masks; `placed`, those that a mask
    of the model's own tells apart by their places; `cells`, pairs x heads with own masks.
    """

    masks: Amount
    pairs: Amount
    hard: Amount
    placed: Amount
    cells: Amount


@dataclass(frozen=True)
class PlanParts(Parts):
    """The blocks of a batch.

    Counted are: `texts`; `tokens` that groups order; `blocks`; `bands`, those of them that are stacks of chunks;
    `hard`, those of them that are hard; `pairs` and `cells` of masks and biases, as in `MaskParts`.
    """

    texts: Amount
    tokens: Amount
    blocks: Amount
    bands: Amount
    hard: Amount
    pairs: Amount
    cells: Amount


Counted = TypeVar("Counted", bound=Parts)


@dataclass(frozen=True, eq=False)
class Probe(Generic[Counted]):
    """A piece of work, counted in parts, and the call that does it."""

    parts: Counted
    call: Callable[[], object]
