"""What transformers calls: one attention function and one mask function, registered under one name.

Both are needed. A custom attention without a mask function of the same name gets no mask at all: padding and
sliding windows would be lost silently. Registration happens on `attach`, never on import.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

from ..attention.arguments import check_mask
from ..attention.functional import attend
from ..attention.reference import reference_attention
from ..errors import ModelError
from .cached_call import whole_keys
from .forward_pass import ForwardPass, LostGrammarError
from .kept_checks import check_own_mask
from .model_mask import ModelMask, make_mask, own_mask

NAME: Final[str] = "grammask"
# Arguments that would change the scores after our mask, or add keys that no grammar knows.
_FOREIGN: Final[dict[str, str]] = {
    "softcap": "soft-capped scores", "s_aux": "learned attention sinks", "position_bias": "learned position biases",
}  # fmt: skip


def register() -> None:
    """Make `NAME` known to transformers; doing it again changes nothing."""
    AttentionInterface.register(NAME, guided_attention)
    AttentionMaskInterface.register(NAME, make_mask)


def guided_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: ModelMask | Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    grammar_pass: ForwardPass | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend under the grammar: tensors (batch, heads, length, head_dim) to (batch, length, heads, head_dim).

    Returns the exact weights (batch, heads, query, key) where the pass asks for them, else None.
    """
    name = type(module).__name__
    if grammar_pass is None:
        raise LostGrammarError(
            f"{name} was called without the grammar of its model. Call the model that was attached, not a part of it; "
            "load a model that was saved with a grammar by grammask.from_pretrained, not by transformers"
        )
    for argument, feature in _FOREIGN.items():
        if kwargs.get(argument) is not None:
            raise ModelError(f"{name} has {feature} ({argument}), which have no exact meaning under a grammar")
    layer, plan = grammar_pass.enter(module, heads=query.shape[1]), grammar_pass.plan
    if plan.strategy == "full" and not plan.need_weights:
        sdpa: Callable[..., tuple[Tensor, None]] = sdpa_attention_forward
        mask = attention_mask.stock() if isinstance(attention_mask, ModelMask) else attention_mask
        return sdpa(module, query, key, value, mask, dropout=dropout, scaling=scaling, **kwargs)
    cache = grammar_pass.cache
    if cache is None and plan.strategy != "full":
        gone = attention_mask.gone if isinstance(attention_mask, ModelMask) else 0
        _check_text(name, query, key, gone, plan.shape[1])
        key, value = whole_keys(key, gone), whole_keys(value, gone)
    own, position = own_mask(attention_mask, plan, module, query, key, causal=kwargs.get("is_causal"))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if cache is not None:
        check_own_mask(plan, own, position, query.shape[2])
    if cache is not None and cache.reads_earlier:
        output = cache.attend(layer, query, key, value, position, dropout_p=dropout, scale=scale)
        return output.transpose(1, 2).contiguous(), None
    check_mask(own, query, key)
    if plan.need_weights:
        groups = query.shape[1] // key.shape[1]
        key, value = repeat_kv(key, groups), repeat_kv(value, groups)
        mask = plan.mask(layer, own, query.dtype, position, queries=query.shape[2])
        output, weights = reference_attention(query, key, value, mask, scale=scale, dropout=dropout)
        return output.transpose(1, 2).contiguous(), weights
    output = attend(
        query, key, value, plan, layer, own, position, scale=scale, dropout=dropout, backend=grammar_pass.backend
    )
    if cache is not None:
        cache.fill(layer, query, key, value, position)
    return output.transpose(1, 2).contiguous(), None


def _check_text(name: str, query: Tensor, key: Tensor, gone: int, tokens: int) -> None:
    """Raise `ModelError` unless the keys, and the first ones that a sliding cache let go, are those of the text."""
    queries, keys = query.shape[2], key.shape[2]
    if queries > keys or gone + keys != tokens:
        raise ModelError(
            f"{name} reads {keys} keys from {queries} queries in a text of {tokens} tokens; a grammar guides "
            "self-attention over one text, not cross-attention"
        )
