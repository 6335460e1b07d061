"""`grammar_attention`: the operator without a model."""

from pathlib import Path

from torch import Tensor

from ..errors import InputError
from ..grammar import Grammar
from ..grammar_file import load_grammar
from ..plan import Plan
from ..planner import plan_batch
from ..rules import check_strategy
from .attend import attend


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
    `make_plan` for the same batch, grammar and strategy, to be shared between calls. `backend` is "auto", "dense",
    "sorted", "banded", "mixed" or "biased"; see `explain_dispatch`. Rows of padding hold no meaning.

    Raises `InputError` and `GrammarError`.
    """
    if query.dim() != 4 or key.shape != query.shape or value.shape[:3] != query.shape[:3]:
        raise InputError(
            "query, key and value must be (batch, heads, length, head_dim) of equal batch, heads and length, but have "
            f"shapes {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        )
    if not 0 <= dropout < 1:
        raise InputError(f"dropout is a share from 0 to below 1, but is {dropout}")
    batch, heads, length, head_dim = query.shape
    grammar = load_grammar(grammar)
    if plan is None:
        plan = plan_batch(
            grammar, tag_ids, word_ids, sentence_ids, attention_mask, strategy=check_strategy(strategy),
            layers=_layers(grammar, layer), heads=heads, shape=(batch, length), device=query.device,
        )  # fmt: skip
    else:
        plan.check_is_for(grammar, strategy, tag_ids, shape=(batch, length), layer=layer, heads=heads)
    readable = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
    return attend(
        query, key, value, plan, layer, readable, scale=head_dim**-0.5 if scale is None else scale, dropout=dropout,
        backend=backend,
    )  # fmt: skip


def _layers(grammar: Grammar, layer: int) -> int:
    """Return how many layers to compile so that all that the grammar names exist, and the one that is asked for."""
    return max([layer, *(index for rule in grammar.rules for index in rule.layers or ())]) + 1
