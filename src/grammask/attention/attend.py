"""One call of attention under a plan: dense or sparse, as dispatch chooses."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .dispatch import Call, choose_backend
from .plan import Plan
from .plan_checks import is_padding_only
from .sparse import sparse_attention


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    plan: Plan,
    layer: int,
    model_mask: Tensor | None,
    *,
    scale: float,
    dropout: float,
    backend: str,
) -> Tensor:
    """Return attention (batch, heads, length, head_dim) in one layer of a plan.

    `model_mask` is the model's own mask as in `Plan.mask`. One that says no more than what is padding adds nothing to
    what the plan knows; any other needs the dense path.
    """
    obstacle = None
    if query.device.type == "cpu" and not is_padding_only(plan, model_mask):
        obstacle = "the model has a mask of its own beside padding, such as causality or a sliding window"
    elif value.shape[-1] != query.shape[-1]:
        obstacle = f"values of another head_dim ({value.shape[-1]}) than queries ({query.shape[-1]})"
    _, heads, _, head_dim = query.shape
    choice = choose_backend(plan, Call(layer, heads, head_dim, backend, query.device, dropout > 0, obstacle))
    if choice.backend == "dense":
        mask = plan.mask(layer, model_mask, query.dtype)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
    if torch.is_autocast_enabled("cpu"):
        # As autocast does for PyTorch's own attention: rotary positions leave queries and keys in float32.
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    strengths = None if plan.learned is None else plan.learned[layer]
    return sparse_attention(
        query,
        key,
        value,
        plan.block_groups(layer, drops=dropout > 0),
        scale=scale,
        dropout=dropout,
        strengths=strengths,
    )
