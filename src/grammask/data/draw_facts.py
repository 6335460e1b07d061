"""Facts of one sentence, drawn by seed: a question that breaks off before its answer, and the answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final, Literal

import numpy as np

from ..errors import ExperimentError
from .fact_lists import (
    CODE_QUESTIONS,
    DATE_QUESTIONS,
    FIRST_NAMES,
    LAST_NAMES,
    MONTHS,
    NAME_QUESTIONS,
    THINGS,
)

Kind = Literal["code", "name", "date"]
KINDS: Final[tuple[Kind, ...]] = ("code", "name", "date")
# A name takes two of the lists' people at most, and no two facts share one.
MOST_FACTS: Final[int] = len(FIRST_NAMES)
_QUESTIONS: Final[dict[Kind, tuple[str, ...]]] = {
    "code": CODE_QUESTIONS,
    "name": NAME_QUESTIONS,
    "date": DATE_QUESTIONS,
}


@dataclass(frozen=True)
class Fact:
    """A sentence of which the end is asked for: "The access code of Anna Petrov is" and "48213"."""

    kind: Kind
    question: str
    answer: str

    @property
    def sentence(self) -> str:
        """What stands in the text."""
        return f"{self.question} {self.answer}."


def draw_facts(kinds: Sequence[Kind], rng: np.random.Generator) -> list[Fact]:
    """Draw a fact of each kind, as often as it is named; no two share a person, a thing or an answer.

    Raises `ExperimentError` for more facts than the lists hold.
    """
    if len(kinds) > MOST_FACTS:
        raise ExperimentError(
            f"{len(kinds)} facts in one text, but there are people for {MOST_FACTS}; take fewer distances or "
            "distractors"
        )
    firsts, lasts, things = (rng.permutation(names).tolist() for names in (FIRST_NAMES, LAST_NAMES, THINGS))
    codes = rng.choice(np.arange(10_000, 100_000), size=len(kinds), replace=False).tolist()
    dates = _dates(rng)
    facts = []
    for number, kind in enumerate(kinds):
        person = f"{firsts[number]} {lasts[number]}"
        subject = things[number] if kind == "name" else person
        question = _QUESTIONS[kind][int(rng.integers(len(_QUESTIONS[kind])))]
        answer = {"code": str(codes[number]), "name": person}.get(kind) or next(dates)
        facts.append(Fact(kind, question.format(subject), answer))
    return facts


def _dates(rng: np.random.Generator) -> Iterator[str]:
    """Yield dates: no two of twelve share a month, none of 28 a day, and all of `MOST_FACTS` differ.

    The month comes first, since a day alone is one of 28 that every text is full of.
    """
    months, days = rng.permutation(MONTHS).tolist(), rng.permutation(np.arange(1, 29)).tolist()
    return (f"{month} {day}" for month, day in zip(cycle(months), cycle(days), strict=False))
