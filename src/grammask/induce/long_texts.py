"""Long texts as a model reads them, and what of them counts: words, or answers to questions about facts far back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ..data.draw_facts import Fact
from ..data.fact_wishes import draw_wishes
from ..data.insert_facts import insert_facts
from ..data.read_documents import Document
from ..errors import InputError
from ..grammar.tags import NAMES, TAG_IDS
from ..tagging.annotate import Annotator

# Names and numbers are few, and what far reading is for.
_NAMES_COUNT: Final[float] = 3.0
_APART: Final[int] = 400  # tokens from one distance of facts to the next
_MOST: Final[int] = 5  # distances, since no two facts share a person
_OTHERS: Final[int] = 2  # facts that nobody asks for, for each distance


@dataclass(frozen=True, eq=False)
class LongText:
    """One annotated text: input_ids, tag_ids, word_ids, and what the loss of each token `counts`; (1, length) each."""

    input_ids: Tensor
    tag_ids: Tensor
    word_ids: Tensor
    counts: Tensor


def read_texts(annotate: Annotator, documents: Sequence[Document], length: int, *, skip: int) -> list[LongText]:
    """Return at most `length` tokens of each document. The first `skip` don't count, names and numbers count thrice.

    Raises `InputError` for a document of no more tokens than `skip`.
    """
    found = []
    for document in documents:
        inputs = annotate(document.text, max_length=length, return_tensors="pt")
        tags = inputs["tag_ids"]
        if tags.shape[1] <= skip + 1:
            raise InputError(
                f"{document.name} has {tags.shape[1]} tokens, but the first {skip} don't count; give longer texts"
            )
        counts = torch.where(is_name(tags), _NAMES_COUNT, 1.0)
        counts[:, : skip + 1] = 0.0
        found.append(LongText(inputs["input_ids"], tags, inputs["word_ids"], counts))
    return found


def read_facts(annotate: Annotator, documents: Sequence[Document], length: int) -> list[LongText]:
    """Return at most `length` tokens of each document with facts put in, and questions behind it: answers alone count.

    Facts stand at even distances in all of a text.
    """
    return [_with_facts(annotate, document, length, number) for number, document in enumerate(documents)]


def is_name(tag_ids: Tensor) -> Tensor:
    """Tell which tokens belong to names and numbers."""
    return torch.isin(tag_ids, torch.tensor([TAG_IDS[name] for name in NAMES]))


def _with_facts(annotate: Annotator, document: Document, length: int, number: int) -> LongText:
    tokenizer, rng = annotate.tokenizer, np.random.default_rng(number)
    length = min(length, len(tokenizer(document.text)["input_ids"]))
    steps = min(max(1, length // _APART), _MOST)
    distances = [length * step // (steps + 1) for step in range(1, steps + 1)]
    wishes, asked = draw_wishes(distances, distractors=_OTHERS * steps, rng=rng)
    facts = [wishes[place].fact for place in rng.permutation(len(asked))]
    questions = tokenizer("".join(f" {fact.sentence}" for fact in facts), add_special_tokens=False)["input_ids"]
    room = length - len(questions)
    text = insert_facts(document.text, wishes, tokenizer, room=room, name=document.name).text
    text, answers = _ask(text, facts)
    inputs = annotate(text, return_tensors="pt")
    ends = [end for _, end in tokenizer(text, return_offsets_mapping=True)["offset_mapping"]]
    if len(ends) != inputs["input_ids"].shape[1]:
        raise InputError(f"the tokenizer cuts a text of {len(ends):,} tokens; take a smaller --length")
    counts = torch.zeros(1, len(ends))
    for start, stop in answers:
        counts[0, [place for place, end in enumerate(ends) if start < end <= stop]] = 1.0
    return LongText(inputs["input_ids"], inputs["tag_ids"], inputs["word_ids"], counts)


def _ask(text: str, facts: Sequence[Fact]) -> tuple[str, list[tuple[int, int]]]:
    """Return a text with questions and answers behind it, and the characters between which answers end."""
    answers = []
    for fact in facts:
        text += f" {fact.question}"
        answers.append((len(text), len(text) + 1 + len(fact.answer)))
        text += f" {fact.answer}."
    return text, answers
