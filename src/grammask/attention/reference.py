"""Attention spelled out: scores, mask, softmax, weighted sum. Slow and obvious; it returns the exact weights."""

import torch
from torch import Tensor
from torch.nn import functional as F


def reference_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, scale: float, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the outputs (batch, heads, query, head_dim) and weights (batch, heads, query, key) of attention.

    `query`, `key` and `value` are (batch, heads, length, head_dim). `mask` is bool (True means "may read") or
    additive, broadcastable to the weights. The softmax runs in float32, that of float64 in
    float64. The weights are those before dropout. A query that may read nothing has the output 0 and the weights 0, as
    in PyTorch's own attention.
    """
    scores = (query @ key.transpose(-2, -1)).to(torch.promote_types(query.dtype, torch.float32)) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        empty = scores.isneginf().all(-1, keepdim=True)
        weights = scores.masked_fill(empty, 0.0).softmax(-1).masked_fill(empty, 0.0)
    else:
        weights = scores.softmax(-1)
    weights = weights.to(query.dtype)
    return F.dropout(weights, dropout) @ value, weights
