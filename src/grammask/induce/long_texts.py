"""Parts of long texts as a model reads them, with facts put in and questions behind, and what of them counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ..data.fact_wishes import draw_wishes
from ..data.insert_facts import FilledText, insert_facts
from ..data.read_documents import Document
from ..errors import InputError
from ..tagging.annotate import Annotator

_LEAST: Final[int] = 512  # tokens of a text: facts in it shall be far
_MOST_PARTS: Final[int] = 4  # of one document, so that none outweighs the others
_APART: Final[int] = 400  # tokens from one distance of facts to the next
_MOST_DISTANCES: Final[int] = 4
_OTHERS: Final[int] = 2  # facts that nobody asks for, for each distance
Spans = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class LongText:
    """One annotated text: input_ids, tag_ids and word_ids, (1, length) each, and which tokens count as what.

    `of_text` and `of_answers`, bool (length,), are tokens of the text as it was written, and of answers about facts.
    The first question begins at token `asked`.
    """

    input_ids: Tensor
    tag_ids: Tensor
    word_ids: Tensor
    of_text: Tensor
    of_answers: Tensor
    asked: int

    def to(self, device: torch.device) -> "LongText":
        """Return it on a device."""
        moved: dict[str, Any] = {name: ids.to(device) for name, ids in vars(self).items() if isinstance(ids, Tensor)}
        return replace(self, **moved)


def read_long_texts(annotate: Annotator, documents: Sequence[Document], length: int) -> list[LongText]:
    """Cut documents into parts of `length` tokens, put facts at even distances into each, and ask for them behind it.

    Raises `InputError` for a document of fewer than 512 tokens.
    """
    parts = [part for document in documents for part in _parts(annotate, document, length)]
    return [_fill(annotate, part, length, number) for number, part in enumerate(parts)]


def _parts(annotate: Annotator, document: Document, length: int) -> Iterator[Document]:
    """Return at most `_MOST_PARTS` parts of so many tokens, at even distances; they overlap where a text is short."""
    spans = _spans(annotate, document.text)
    if len(spans) < _LEAST:
        raise InputError(f"{document.name} has {len(spans)} tokens, but --from loss needs texts of at least {_LEAST}")
    rest = max(0, len(spans) - length)
    number = min(1 + ceil(rest / length), _MOST_PARTS)
    for start in np.linspace(0, rest, number, dtype=int):
        own = spans[start : start + length]
        yield Document(document.name, document.text[own[0][0] : own[-1][1]])


def _fill(annotate: Annotator, part: Document, length: int, number: int) -> LongText:
    tokenizer, rng = annotate.tokenizer, np.random.default_rng(number)
    length = min(length, len(_spans(annotate, part.text)))
    steps = min(length // _APART, _MOST_DISTANCES)
    distances = [length * step // (steps + 1) for step in range(1, steps + 1)]
    wishes, asked = draw_wishes(distances, distractors=_OTHERS * steps, rng=rng)
    facts = [wishes[place].fact for place in rng.permutation(len(asked))]
    questions = "".join(f" {fact.sentence}" for fact in facts)
    room = length - len(tokenizer(questions, add_special_tokens=False)["input_ids"])
    filled = insert_facts(part.text, wishes, tokenizer, room=room, name=part.name)
    text, answers = filled.text, []
    for fact in facts:
        text += f" {fact.question}"
        answers.append((len(text), len(text) + 1 + len(fact.answer)))
        text += f" {fact.answer}."
    return _finish(annotate, text, filled, answers)


def _finish(annotate: Annotator, text: str, filled: FilledText, answers: Spans) -> LongText:
    inputs, spans = annotate(text, return_tensors="pt"), _spans(annotate, text)
    if len(spans) != inputs["input_ids"].shape[1]:
        raise InputError(
            f"the tokenizer cuts a text of {len(spans):,} tokens, or adds tokens of its own; take a smaller --length"
        )
    facts = [(placed.start, placed.start + len(placed.wish.fact.sentence)) for placed in filled.facts]
    end = len(filled.text)
    return LongText(
        inputs["input_ids"], inputs["tag_ids"], inputs["word_ids"],
        of_text=~_within(spans, [*facts, (end, len(text))]), of_answers=_within(spans, answers),
        asked=sum(stop <= end for _, stop in spans),
    )  # fmt: skip


def _within(spans: Spans, parts: Spans) -> Tensor:
    """Tell which tokens end within one of some parts of a text."""
    ends = torch.tensor([stop for _, stop in spans])[:, None]
    starts, stops = torch.tensor(parts).unbind(1)
    return ((starts < ends) & (ends <= stops)).any(1)


def _spans(annotate: Annotator, text: str) -> Spans:
    """Return where each token of a text begins and ends."""
    spans: Spans = annotate.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    return spans
