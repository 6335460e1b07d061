"""Putting a control into a run: another grammar, other tags, or other masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ...attention.mask_maker import MaskTransform
from ...grammar.grammar import Grammar
from ...grammar.rules import Strategy
from ...model.attach import attach, set_mask_transform
from ...model.strengths import LearnStrengths
from ..plan_runs import RunSpec
from ..prepare import Splits
from .control import GrammarControl, MaskControl, Retag, TagControl
from .other_grammars import control_grammar
from .other_tags import make_retag
from .registry import find_control


@dataclass(frozen=True)
class Controlled:
    """What a run takes: its grammar, its data, and what transforms its masks, None for nothing."""

    grammar: Grammar | None
    train: Dataset
    dev: Dataset
    mask_transform: MaskTransform | None = None

    def guide(
        self, model: PreTrainedModel, strategy: Strategy, *, learn_strengths: LearnStrengths | None = None
    ) -> None:
        """Put the grammar, and what transforms its masks, into a model; without a grammar it stays the stock one."""
        if self.grammar is not None:
            attach(model, self.grammar, strategy, learn_strengths=learn_strengths)
            set_mask_transform(model, self.mask_transform)


def apply_control(spec: RunSpec, grammar: Grammar | None, data: Splits, *, layers: int, heads: int) -> Controlled:
    """Return what a run takes in a model of so many layers and heads, under its control where it has one."""
    if spec.control is None or grammar is None:
        return Controlled(grammar, data.train, data.dev)
    control = find_control(spec.control)
    if isinstance(control, MaskControl):
        return Controlled(grammar, data.train, data.dev, control.make(spec.seed))
    if isinstance(control, TagControl):
        retag = make_retag(control, data.train, seed=spec.seed)
        # Dev's texts are numbered after train's, so that no two texts share a draw.
        return Controlled(grammar, _retagged(data.train, retag, 0), _retagged(data.dev, retag, len(data.train)))
    assert isinstance(control, GrammarControl)  # noqa: S101 - there are three kinds
    training = [tags_of_words(text) for text in data.train]
    other = control_grammar(control, grammar, training, layers=layers, heads=heads, seed=spec.seed)
    return Controlled(other, data.train, data.dev)


def _retagged(split: Dataset, retag: Retag, first: int) -> Dataset:
    tags = [retag(text, number) for number, text in enumerate(split, start=first)]
    return split.remove_columns("tag_ids").add_column("tag_ids", tags)


def tags_of_words(text: Mapping[str, Sequence[Any]]) -> NDArray[np.int32]:
    """Return the tag id of each word of an annotated text."""
    tags = {word: tag for word, tag in zip(text["word_ids"], text["tag_ids"], strict=True) if word >= 0}
    return np.array(list(tags.values()), dtype=np.int32)
