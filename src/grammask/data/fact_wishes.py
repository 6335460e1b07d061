"""Which facts a text gets, and where they are to stand in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .draw_facts import KINDS, Fact, draw_facts

_APART: Final[int] = 48  # tokens between facts of one distance, so that they don't stand in a row


@dataclass(frozen=True)
class Wish:
    """A fact and where it is to stand: so many tokens from its answer to the end of the text."""

    fact: Fact
    distance: int


def draw_wishes(
    distances: Sequence[int], *, distractors: int, rng: np.random.Generator
) -> tuple[list[Wish], list[int]]:
    """Draw the facts of a text: one of each kind at each distance, and `distractors` that nobody asks for.

    Returns them, the asked ones first, and the distance that each of those stands for. Raises `ExperimentError` for
    more facts than there are people.
    """
    targets = [distance for distance in distances for _ in KINDS]
    others = [KINDS[place % len(KINDS)] for place in range(distractors)]
    facts = draw_facts([*KINDS * len(distances), *others], rng)
    nearest, farthest = min(distances), max(distances)
    wishes = []
    for place, (fact, distance) in enumerate(zip(facts, targets, strict=False)):
        shifted = distance + _APART * (place % len(KINDS) - len(KINDS) // 2)
        wishes.append(Wish(fact, min(max(shifted, 1), farthest)))
    wishes += [Wish(fact, int(rng.integers(nearest, farthest + 1))) for fact in facts[len(targets) :]]
    return wishes, targets
