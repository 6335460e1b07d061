"""What a measurement of recall is made of."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...errors import ExperimentError
from .facts import KINDS, draw_facts
from .insert import Wish

_APART: Final[int] = 48  # tokens between facts of one distance, so that they don't stand in a row
_LEAST: Final[int] = 64  # of a distance: SnapKV's window


@dataclass(frozen=True)
class RecallSettings:
    """Contexts of `length` tokens, questions included, with a fact of each kind at each of `distances`.

    `distractors` facts more, which nobody asks for, stand anywhere between. `peers` are run at the cache share of the
    first grammar, or at `share` where there is none.
    """

    length: int = 4096
    distances: tuple[int, ...] = (500, 1000, 2000, 3000, 3500)
    distractors: int = 6
    peers: tuple[str, ...] = ()
    share: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.distances:
            raise ExperimentError("there is no distance at which facts are to stand; name some, such as 500 and 1000")
        for distance in self.distances:
            self.check_fits(distance, self.length - 1)

    def check_fits(self, distance: int, room: int) -> None:
        """Raise `ExperimentError` for a distance that a context of at most `room` tokens doesn't have."""
        if not _LEAST <= distance <= room:
            raise ExperimentError(
                f"no fact can stand {distance:,} tokens before a question in {self.length:,} tokens of text; take "
                f"distances from {_LEAST} to {room:,}, or a larger length"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def draw_wishes(settings: RecallSettings, number: int) -> tuple[list[Wish], list[int]]:
    """Return the facts of a text, the asked ones first, and the distance that each of those is to stand for."""
    rng = np.random.default_rng([settings.seed, number])
    targets = [distance for distance in settings.distances for _ in KINDS]
    asked = KINDS * len(settings.distances)
    others = [KINDS[place % len(KINDS)] for place in range(settings.distractors)]
    facts = draw_facts([*asked, *others], rng)
    farthest, nearest = max(settings.distances), min(settings.distances)
    middle = len(KINDS) // 2
    wishes = []
    for place, (fact, distance) in enumerate(zip(facts, targets, strict=False)):
        shifted = distance + _APART * (place % len(KINDS) - middle)
        wishes.append(Wish(fact, min(max(shifted, 1), farthest)))
    wishes += [Wish(fact, int(rng.integers(nearest, farthest + 1))) for fact in facts[len(asked) :]]
    return wishes, targets
