"""Making the plan of a batch for the operator, which has no model to take it from."""

from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.limits import MAX_HEADS, MAX_LAYERS
from ..grammar.rules import Strategy, check_strategy
from ..grammar.tables import compile_layers
from .inputs import check_annotation, check_padding, check_whole, each_its_own_word
from .plan import Plan


def make_plan(
    grammar: Grammar | str | Path,
    *,
    tag_ids: Tensor,
    word_ids: Tensor | None = None,
    sentence_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
    strategy: str = "hard",
    layers: int = 1,
    heads: int = 1,
) -> Plan:
    """Return the plan of one batch for `grammar_attention`; all calls with the same batch may share it.

    `tag_ids`, `word_ids` and `sentence_ids` are integers (batch, length), `attention_mask` (batch, length) is 0 at
    padding. Without `word_ids` each token with a part of speech is a word of its own. `layers` and `heads` are the
    model's. The plan holds copies of what it is made from: a call with other values is refused, also when they were
    written into the same tensors. Raises `InputError` and `GrammarError`.
    """
    if not isinstance(tag_ids, Tensor) or tag_ids.dim() != 2:
        raise InputError("tag_ids must be an integer tensor (batch, length); grammask.Annotator makes it from texts")
    return plan_batch(
        load_grammar(grammar), tag_ids, word_ids, sentence_ids, attention_mask, strategy=check_strategy(strategy),
        layers=check_whole("layers", layers, lowest=1, highest=MAX_LAYERS),
        heads=check_whole("heads", heads, lowest=1, highest=MAX_HEADS),
        shape=(tag_ids.shape[0], tag_ids.shape[1]), device=tag_ids.device,
    )  # fmt: skip


def plan_batch(
    grammar: Grammar, tag_ids: object, word_ids: object, sentence_ids: object, attention_mask: object, *,
    strategy: Strategy, layers: int, heads: int, shape: tuple[int, int], device: torch.device,
) -> Plan:  # fmt: skip
    """Return the plan of a batch of this `shape` (batch, length) on this device; see `make_plan`."""
    if word_ids is None:
        word_ids = each_its_own_word(tag_ids)
    annotation = check_annotation(
        tag_ids, word_ids, sentence_ids, shape=shape, device=device, needs_sentences=grammar.needs_sentences
    )
    check_padding(annotation.tag_ids, attention_mask, own_masks=False)
    return Plan(
        annotation,
        strategy=strategy,
        layer_tables=compile_layers(grammar, layers=layers, heads=heads),
        grammar=grammar,
        shape=shape,
    )
