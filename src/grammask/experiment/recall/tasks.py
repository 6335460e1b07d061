"""What is done with one text: which facts it is given, what is asked, and where it is cut to be read on."""

from dataclasses import dataclass
from typing import Final

from ...tagging.annotate import Annotator
from .insert import cut_text, insert_facts, split_text
from .passages import Passage, read_passage
from .recall_settings import RecallSettings, draw_wishes

_SPECIAL: Final[int] = 2  # tokens of the tokenizer's own around a text
_CONTEXT: Final[float] = 0.75  # of a text that is read on; the rest is what is predicted


@dataclass(frozen=True)
class NamedText:
    """A text and what it is called; records hold its name only."""

    name: str
    text: str


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

    context: Passage
    questions: tuple[Question, ...]
    beginning: Passage
    rest: Passage


def make_task(annotate: Annotator, text: NamedText, settings: RecallSettings, number: int) -> TextTask:
    """Put facts into a text, and cut it in two where it is read on."""
    wishes, targets = draw_wishes(settings, number)
    asked = [wish.fact for wish, _ in zip(wishes, targets, strict=False)]
    passages = [read_passage(annotate, f" {fact.question} {fact.answer}", follows=True) for fact in asked]
    room = settings.length - max(map(len, passages)) - _SPECIAL
    settings.check_fits(max(settings.distances), room)
    filled = insert_facts(text.text, wishes, annotate.tokenizer, room=room, name=text.name)
    questions = [
        Question(fact.kind, target, placed.distance, passage, passage.tokens_behind(1 + len(fact.question)))
        for fact, target, placed, passage in zip(asked, targets, filled.facts, passages, strict=False)
    ]
    beginning, rest = split_text(cut_text(text.text, annotate.tokenizer, room), annotate.tokenizer, _CONTEXT)
    return TextTask(
        read_passage(annotate, filled.text),
        tuple(questions),
        read_passage(annotate, beginning),
        read_passage(annotate, rest, follows=True),
    )
