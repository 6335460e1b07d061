"""One call of attention under a plan: `attend` in a model, `grammar_attention` without one."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.limits import MAX_LAYERS
from ..grammar.rules import check_strategy
from .arguments import check_dropout, check_inputs, check_scale
from .backends import FLEX, TABLE
from .choice import Call
from .dense_attention import dense_attention
from .dispatch import choose_backend, is_measured
from .inputs import check_whole
from .make_plan import plan_batch
from .mask_maker import with_new
from .plan import Plan
from .plan_checks import check_fits, check_plan, is_padding_only
from .position_mask import FREE, PositionMask, check_position_mask
from .sparse import sparse_attention
from .tracing import check_traceable, is_tracing


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
    causal: bool = False,
    window: tuple[int, int] | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    plan: Plan | None = None,
    backend: str = "auto",
) -> Tensor:
    """Return softmax attention under a grammar: the operator without a model.

    Args:
        query: (batch, heads, queries, head_dim), floating point: of all tokens, or of the last ones.
        key: (batch, heads, length, head_dim), or fewer heads, each read by as many neighbouring heads of the query
            (grouped-query attention). They are never repeated on the sparse path.
        value: The shape of key; its head_dim may differ.
        tag_ids: Integers (batch, length), indices into `TAGS`; "[PAD]" at padding.
        word_ids: Integers (batch, length), the word of each token counted from 0, -1 for none. None makes each token
            with a part of speech a word of its own.
        sentence_ids: Integers (batch, length), counted in the same way; needed for rules of sentence reach.
        grammar: The name of a shipped grammar, the path of a grammar file, or a `Grammar`.
        strategy: "hard", "soft" or "full"; see `attach`.
        layer: Selects among rules that are limited to layers, counted from 0.
        attention_mask: (batch, length), 1 at tokens and 0 at padding.
        causal: Whether a query reads no key after it. Padding counts as places.
        window: (left, right), how many tokens beside it a query may read to either side; None: any. A query always
            reads itself. Both are ANDed with the grammar, as a model's own mask is.
        scale: What scores are multiplied by; None: 1/sqrt(head_dim).
        dropout: The share of attention weights to drop, 0 to below 1; 0 outside of training.
        plan: What `make_plan` made for this batch, grammar and strategy, to be shared between calls, so that
            "auto" doesn't count what planning takes. The other arguments are given as without it; a plan that was made
            from other values is refused.
        backend: "auto", see `explain_dispatch`, or one of the table in docs/kernels.md.

    Returns:
        The query's (batch, heads, queries) and the value's head_dim. Rows of padding hold no meaning.

    Raises:
        InputError: For tensors that don't belong together, and a plan of another batch.
        GrammarError: For a grammar that doesn't fit, an unknown strategy, and a backend that cannot do the grammar.

    Example:
        >>> query, key, value = torch.randn(3, 1, 2, 5, 8)
        >>> tags = ("DET", "ADJ", "NOUN", "VERB", "PUNCT")
        >>> tag_ids = torch.tensor([[grammask.TAGS.index(tag) for tag in tags]])
        >>> grammask.grammar_attention(query, key, value, tag_ids=tag_ids, grammar="paper").shape
        torch.Size([1, 2, 5, 8])
    """
    check_inputs(query, key, value)
    batch, heads, _, head_dim = query.shape
    length = key.shape[2]
    scale, dropout = check_scale(scale, head_dim), check_dropout(dropout)
    layer = check_whole("layer", layer, lowest=0, highest=MAX_LAYERS - 1)
    position = check_position_mask(causal, window)
    grammar = load_grammar(grammar)
    strategy = check_strategy(strategy)
    if plan is None:
        plan = plan_batch(
            grammar, tag_ids, word_ids, sentence_ids, attention_mask, strategy=strategy,
            layers=max(layer + 1, grammar.layers_named), heads=heads, shape=(batch, length), device=query.device,
        )  # fmt: skip
    else:
        check_fits(
            check_plan(plan), grammar, tag_ids, word_ids, sentence_ids, attention_mask, strategy=strategy,
            layer=layer, heads=heads, shape=(batch, length), device=query.device,
        )  # fmt: skip
    # The plan's own mask, equal to the call's, so that calls that share the plan share what is made from it.
    readable = None if attention_mask is None else plan.readable
    return attend(query, key, value, plan, layer, readable, position, scale=scale, dropout=dropout, backend=backend)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    plan: Plan,
    layer: int,
    model_mask: Tensor | None,
    position: PositionMask = FREE,
    *,
    scale: float,
    dropout: float,
    backend: str,
) -> Tensor:
    """Return attention (batch, heads, queries, head_dim) in one layer of a plan.

    `model_mask` and `position` are the model's own mask as in `Plan.mask`. A `model_mask` that says no more than what
    is padding adds nothing to what the plan knows; any other needs the dense path.
    """
    if is_tracing() and plan.lookups:  # a model's plan; any other breaks the graph where it is compiled
        check_traceable(backend)
        return dense_attention(query, key, value, plan, layer, model_mask, position, scale=scale, dropout=dropout)
    dtype, obstacle = _dtype(query), None
    if backend == FLEX.name or is_measured(query.device, dtype):
        obstacle = _own_mask(plan, model_mask, may_wait=backend == FLEX.name or not query.is_cuda)
    if obstacle is None and value.shape[-1] != query.shape[-1] and backend != FLEX.name:
        obstacle = f"values of another head_dim ({value.shape[-1]}) than queries ({query.shape[-1]})"
    _, heads, queries, head_dim = query.shape
    trains = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (query, key, value, plan.learned)
    )
    choice = choose_backend(
        plan,
        Call(
            layer, heads, key.shape[1], min(head_dim, value.shape[-1]), backend, query.device, dtype, trains,
            dropout > 0, obstacle, position, queries,
        ),
    )  # fmt: skip
    if TABLE[choice.backend].kernel == "dense":
        return dense_attention(query, key, value, plan, layer, model_mask, position, scale=scale, dropout=dropout)
    strengths = None if plan.learned is None else with_new(plan.learned[layer])
    inputs = query.to(dtype), key.to(dtype), value.to(dtype)
    if TABLE[choice.backend].kernel == "flex":
        return _flex_attention()(*inputs, plan.flex_calls(layer, position, queries), scale=scale, strengths=strengths)
    groups = plan.block_groups(layer, position, queries=queries, drops=dropout > 0, start=choice.start)
    return sparse_attention(*inputs, groups, scale=scale, dropout=dropout, strengths=strengths)


def _own_mask(plan: Plan, model_mask: Tensor | None, *, may_wait: bool) -> str | None:
    """Return what of the model's own mask only the dense path does; reading it would wait for a GPU."""
    if may_wait or model_mask is None:
        is_more, what = not is_padding_only(plan, model_mask), "is more than padding, causality or a sliding window"
    else:
        is_more = plan.annotation is None or model_mask is not plan.readable
        what = "may be more than padding: auto doesn't read it on a GPU; ask for flex by name"
    return f"the model has a mask of its own that {what}" if is_more else None


@cache
def _flex_attention() -> Callable[..., Tensor]:
    try:
        from .flex.attend_calls import flex_attention  # brings PyTorch's compiler along
    except ImportError as error:
        raise InputError(
            f'backend \'flex\' needs a later PyTorch than {torch.__version__} ({error}); use backend="dense" or "auto"'
        ) from error
    return flex_attention


def _dtype(query: Tensor) -> torch.dtype:
    """Return what attention is computed in: under autocast the same as PyTorch's own attention."""
    # Rotary positions leave queries and keys in float32.
    device = query.device.type
    casts = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if casts else query.dtype
