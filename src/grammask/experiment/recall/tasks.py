"""What is done with one text: which facts it is given, what is asked, and where it is cut to be read on."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

import numpy as np

from ...data.fact_wishes import draw_wishes
from ...data.insert_facts import cut_text, insert_facts, split_text
from ...data.read_documents import Document
from ...tagging.annotate import Annotator
from .passages import Passage, read_passage
from .recall_settings import RecallSettings

_SPECIAL: Final[int] = 2  # tokens of the tokenizer's own around a text
_CONTEXT: Final[float] = 0.75  # of a text that is read on; the rest is what is predicted


@dataclass(frozen=True, eq=False)
class Question:
    """A question about a fact with its answer, which its last `scored` tokens are, and the distance it stands for."""

    kind: str
    target: int
    distance: int
    passage: Passage
    scored: int


@dataclass(frozen=True, eq=False)
class TextTask:
    """What is done with one text: questions behind the facts that it was given, and reading it on without them."""

    document: Document
    context: Passage
    questions: tuple[Question, ...]
    beginning: Passage
    rest: Passage

    @cached_property
    def sha256(self) -> str:
        """The hash of all that is read and asked: what was measured on other facts is no record of this."""
        asked = [question.passage for question in self.questions]
        digest = sha256(
            repr([(question.kind, question.target, question.scored) for question in self.questions]).encode()
        )
        for passage in (self.context, self.beginning, self.rest, *asked):
            for ids in passage.inputs.values():
                digest.update(repr(tuple(ids.shape)).encode() + ids.long().numpy().tobytes())
        return digest.hexdigest()


def make_task(annotate: Annotator, document: Document, settings: RecallSettings, number: int) -> TextTask:
    """Put facts into a text, and cut it in two where it is read on; `number` is the text's, for the draw.

    Raises `InputError` for a text that is too short, and `ExperimentError` for distances that leave questions no room.
    """
    rng = np.random.default_rng([settings.seed, number])
    wishes, targets = draw_wishes(settings.distances, distractors=settings.distractors, rng=rng)
    asked = [wish.fact for wish, _ in zip(wishes, targets, strict=False)]
    passages = [read_passage(annotate, f" {fact.question} {fact.answer}", follows=True) for fact in asked]
    room = settings.length - max(map(len, passages)) - _SPECIAL
    settings.check_fits(max(settings.distances), room)
    filled = insert_facts(document.text, wishes, annotate.tokenizer, room=room, name=document.name)
    questions = [
        Question(fact.kind, target, placed.distance, passage, passage.tokens_behind(1 + len(fact.question)))
        for fact, target, placed, passage in zip(asked, targets, filled.facts, passages, strict=False)
    ]
    beginning, rest = split_text(cut_text(document.text, annotate.tokenizer, room), annotate.tokenizer, _CONTEXT)
    return TextTask(
        document,
        read_passage(annotate, filled.text),
        tuple(questions),
        read_passage(annotate, beginning),
        read_passage(annotate, rest, follows=True),
    )
