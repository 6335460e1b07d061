"""Contenders: ways of attention to be timed, prepared one by one. One that cannot run says why, in its row."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from torch import Tensor

from ..errors import GrammaskError

Kind = Literal["full", "ours", "peer", "floor"]
Outputs = tuple[Tensor, ...]


class CannotRunError(Exception):
    """Raised where a contender cannot take part in a case; its row gives the message as the reason."""


@dataclass(frozen=True)
class Ready:
    """A prepared contender. `facts` go into its row; `exact` says that it computes the grammar's own attention.

    `call` runs one pass and returns the output and, in training, the gradients of query, key and value.
    """

    call: Callable[[], Outputs]
    exact: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """A way of attention: its name, its kind, and how to prepare it."""

    name: str
    kind: Kind
    make: Callable[[], Ready]

    @property
    def label(self) -> str:
        """What tells it apart: a backend of ours may have the name of a peer."""
        return f"{self.kind} {self.name}"


def warm(contender: Contender) -> tuple[Ready, Outputs] | str:
    """Prepare a contender and run it once; return it with its outputs, or the reason why it cannot run.

    A peer may fail in any way. Our own may refuse with a `GrammaskError`; anything else is a bug and is raised.
    """
    try:
        ready = contender.make()
        return ready, ready.call()
    except (CannotRunError, GrammaskError) as error:
        return _line(str(error))
    except Exception as error:
        if contender.kind == "ours":
            raise
        return f"{type(error).__name__}: {_line(str(error))}"


def median_seconds(make: Callable[[], object], *, times: int = 3) -> float:
    """Return the median of how long `make` takes: for work that is done once, before the rounds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        make()
        taken.append(time.perf_counter() - start)
    return median(taken)


def largest_difference(outputs: Outputs, others: Outputs) -> float:
    """Return the largest absolute difference between two results, relative to the largest value of the second."""
    return max(
        float((one.float() - other.float()).abs().max() / other.float().abs().max().clamp(min=1e-30))
        for one, other in zip(outputs, others, strict=True)
    )


def _line(message: str) -> str:
    return (message.strip().splitlines() or ["no message"])[0][:300]
