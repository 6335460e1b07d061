"""`grammar_attention`: the operator without a model."""

import sys

from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..grammar import Grammar
from ..grammar_file import load_grammar
from ..inputs import check_annotation, check_padding
from ..plan import Plan
from ..rules import check_strategy
from ..tables import compile_tables


def grammar_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    tag_ids: Tensor,
    word_ids: Tensor,
    sentence_ids: Tensor | None = None,
    grammar: Grammar | str,
    strategy: str = "hard",
    layer: int = 0,
    attention_mask: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Return softmax attention under a grammar: (batch, heads, length, head_dim).

    `query`, `key` and `value` are (batch, heads, length, head_dim); `tag_ids`, `word_ids` and `sentence_ids` are
    integers (batch, length). `layer` selects among rules that are limited to layers. `attention_mask` (batch,
    length) is 0 at padding. `scale` defaults to 1/sqrt(head_dim). Raises `InputError` and `GrammarError`.
    """
    if query.dim() != 4 or key.shape != query.shape or value.shape[:3] != query.shape[:3]:
        raise InputError(
            "query, key and value must be (batch, heads, length, head_dim) of equal batch, heads and length, but have "
            f"shapes {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        )
    batch, heads, length, _ = query.shape
    grammar = load_grammar(grammar)
    annotation = check_annotation(
        tag_ids,
        word_ids,
        sentence_ids,
        shape=(batch, length),
        device=query.device,
        needs_sentences=grammar.needs_sentences,
    )
    check_padding(annotation.tag_ids, attention_mask)
    if attention_mask is not None and tuple(attention_mask.shape) != (batch, length):
        raise InputError(f"attention_mask has shape {tuple(attention_mask.shape)}, but must be {(batch, length)}")
    grammar.check_fits(layers=sys.maxsize, heads=heads)
    plan = Plan(
        annotation,
        strategy=check_strategy(strategy),
        layer_tables=(compile_tables(grammar, layer=layer, heads=heads),),
    )
    readable = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
    mask = plan.mask(0, readable, query.dtype)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
