"""`grammar_attention`: the operator without a model."""

from pathlib import Path

from torch import Tensor

from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.limits import MAX_LAYERS
from ..grammar.rules import check_strategy
from .arguments import check_dropout, check_inputs, check_scale
from .attend import attend
from .fit_plan import check_fits, check_plan
from .inputs import check_whole
from .make_plan import plan_batch
from .plan import Plan


def grammar_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    tag_ids: Tensor,
    word_ids: Tensor | None = None,
    sentence_ids: Tensor | None = None,
    grammar: Grammar | str | Path,
    strategy: str = "hard",
    layer: int = 0,
    attention_mask: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    plan: Plan | None = None,
    backend: str = "auto",
) -> Tensor:
    """Return softmax attention under a grammar: (batch, heads, length, head_dim).

    `query`, `key` and `value` are (batch, heads, length, head_dim); `tag_ids`, `word_ids` and `sentence_ids` are
    integers (batch, length). Without `word_ids` each token with a part of speech is a word of its own. `layer` selects
    among rules that are limited to layers. `attention_mask` (batch, length) is 0 at padding. `scale` defaults to
    1/sqrt(head_dim). `dropout` is the share of attention weights to drop, 0 outside of training. `plan` is that of
    `make_plan` for the same batch, grammar and strategy, to be shared between calls; the other arguments are given as
    without it, and a plan that was made from other values is refused. `backend` is "auto", "dense",
    "sorted", "banded", "mixed" or "biased"; see `explain_dispatch`. Rows of padding hold no meaning.

    Raises `InputError` and `GrammarError`.
    """
    check_inputs(query, key, value)
    batch, heads, length, head_dim = query.shape
    scale, dropout = check_scale(scale, head_dim), check_dropout(dropout)
    layer = check_whole("layer", layer, lowest=0, highest=MAX_LAYERS - 1)
    grammar = load_grammar(grammar)
    strategy = check_strategy(strategy)
    if plan is None:
        plan = plan_batch(
            grammar, tag_ids, word_ids, sentence_ids, attention_mask, strategy=strategy,
            layers=_layers(grammar, layer), heads=heads, shape=(batch, length), device=query.device,
        )  # fmt: skip
    else:
        check_fits(
            check_plan(plan), grammar, tag_ids, word_ids, sentence_ids, attention_mask, strategy=strategy,
            layer=layer, heads=heads, shape=(batch, length), device=query.device,
        )  # fmt: skip
    # The plan's own mask, equal to the call's, so that calls that share the plan share what is made from it.
    readable = None if attention_mask is None else plan.readable
    return attend(query, key, value, plan, layer, readable, scale=scale, dropout=dropout, backend=backend)


def _layers(grammar: Grammar, layer: int) -> int:
    """Return how many layers to compile so that all that the grammar names exist, and the one that is asked for."""
    return max([layer, *(index for rule in grammar.rules for index in rule.layers or ())]) + 1
