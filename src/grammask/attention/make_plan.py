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

    The plan holds copies of what it is made from: a call with other values is refused, also when they were written into
    the same tensors.

    Args:
        grammar: The name of a shipped grammar, the path of a grammar file, or a `Grammar`.
        tag_ids: Integers (batch, length), indices into `TAGS`; "[PAD]" at padding.
        word_ids: Integers (batch, length), the word of each token counted from 0, -1 for none. None makes each token
            with a part of speech a word of its own.
        sentence_ids: Integers (batch, length), counted in the same way; needed for rules of sentence reach.
        attention_mask: (batch, length), 1 at tokens and 0 at padding.
        strategy: "hard", "soft" or "full"; see `attach`.
        layers: The model's number of layers.
        heads: Its number of heads.

    Returns:
        A plan for `grammar_attention(..., plan=...)` and `explain_dispatch`.

    Raises:
        InputError: For tensors of the wrong shape, dtype or range.
        GrammarError: For a grammar that cannot be read or doesn't fit, and an unknown strategy.

    Example:
        >>> query, key, value = torch.randn(3, 1, 2, 3, 8)
        >>> batch = {"tag_ids": torch.tensor([[5, 7, 15]]), "grammar": "paper"}  # DET NOUN VERB
        >>> plan = grammask.make_plan(**batch, layers=6, heads=2)
        >>> first = grammask.grammar_attention(query, key, value, **batch, layer=0, plan=plan)
        >>> second = grammask.grammar_attention(query, key, value, **batch, layer=1, plan=plan)
        >>> torch.equal(first, grammask.grammar_attention(query, key, value, **batch))
        True
    """
    if not isinstance(tag_ids, Tensor) or tag_ids.dim() != 2:
        raise InputError("tag_ids must be an integer tensor (batch, length); grammask.Annotator makes it from texts")
    return plan_batch(
        load_grammar(grammar), tag_ids, word_ids, sentence_ids, attention_mask, strategy=check_strategy(strategy),
        layers=check_whole("layers", layers, lowest=1, highest=MAX_LAYERS),
        heads=check_whole("heads", heads, lowest=1, highest=MAX_HEADS),
        shape=(tag_ids.shape[0], tag_ids.shape[1]), device=tag_ids.device, is_given=True,
    )  # fmt: skip


def plan_batch(
    grammar: Grammar, tag_ids: object, word_ids: object, sentence_ids: object, attention_mask: object, *,
    strategy: Strategy, layers: int, heads: int, shape: tuple[int, int], device: torch.device,
    is_given: bool = False,
) -> Plan:  # fmt: skip
    """Return the plan of a batch of this `shape` (batch, length) on this device; see `make_plan` and `Plan`."""
    if word_ids is None:
        word_ids = each_its_own_word(tag_ids)
    annotation = check_annotation(
        tag_ids, word_ids, sentence_ids, shape=shape, device=device, needs_sentences=grammar.needs_sentences
    )
    check_padding(annotation, attention_mask, own_masks=False)
    return Plan(
        annotation,
        strategy=strategy,
        layer_tables=compile_layers(grammar, layers=layers, heads=heads),
        grammar=grammar,
        shape=shape,
        is_given=is_given,
    )
