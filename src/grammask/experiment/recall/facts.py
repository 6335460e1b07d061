"""Facts of one sentence, drawn by seed: a question that breaks off before its answer, and the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ...errors import ExperimentError
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
    days = rng.choice(28 * len(MONTHS), size=len(kinds), replace=False).tolist()
    facts = []
    for number, kind in enumerate(kinds):
        person = f"{firsts[number]} {lasts[number]}"
        subject = things[number] if kind == "name" else person
        answers: dict[Kind, str] = {"code": str(codes[number]), "name": person, "date": _date(days[number])}
        question = _QUESTIONS[kind][int(rng.integers(len(_QUESTIONS[kind])))]
        facts.append(Fact(kind, question.format(subject), answers[kind]))
    return facts


def _date(day: int) -> str:
    """Return a day of a year of 12 months of 28 days."""
    return f"{day % 28 + 1} {MONTHS[day // 28]}"
