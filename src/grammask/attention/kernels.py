"""Attention over one block, forward and backward, in two ways that give the same.

Flash: PyTorch's fused CPU kernel, through the operators that also hand out the log-sum-exp of the scores. Their
backward takes the output and the log-sum-exp of the whole softmax, so a block's gradients are exact whatever other
blocks its queries read (Dao 2023, FlashAttention-2, section 2.3). Eager: the same sums in plain PyTorch, a few
queries at a time, for what the fused kernel cannot do: attention dropout, and gradients of the bias.

Queries are (stack, heads, queries, head_dim), keys and values (stack, heads or 1, keys, head_dim): those of one head
are read by all heads of the queries, and their gradients are sums over these. Biases are float and broadcastable to
(stack, heads, queries, keys), log-sum-exps (stack, heads, queries).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor

_TILE: Final[int] = 1 << 21  # scores that the eager kernel holds at a time


class Dropout(NamedTuple):
    """The share of weights to drop, and the seed of the block's own draws, so that the backward pass repeats them."""

    share: float
    seed: int

    def next(self) -> "Dropout":
        """Return that of the following block."""
        return Dropout(self.share, self.seed + 1)


def flash(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, *, scale: float) -> tuple[Tensor, Tensor]:
    """Return the output and the log-sum-exp of the scores; a query that reads nothing gets the output 0."""
    output, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, _shared(key, query), _shared(value, query), attn_mask=bias, scale=scale
    )
    return output, logsumexp


def flash_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, lse: Tensor, bias: Tensor | None, *,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of query, key and value; `output` and `lse` are those of the whole softmax."""
    to_query, *shared = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        grad, query, _shared(key, query), _shared(value, query), output, lse, 0.0, False, attn_mask=bias, scale=scale
    )
    to_key, to_value = (_summed(gradient, key.shape[1]) for gradient in shared)
    return to_query, to_key, to_value


def eager(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, *, scale: float, dropout: Dropout
) -> tuple[Tensor, Tensor]:
    """Return what `flash` does, under attention dropout; the log-sum-exp is that before dropout."""
    output = torch.empty_like(query)
    logsumexp = query.new_empty(query.shape[:-1], dtype=wide(query.dtype))
    key, value = key.to(logsumexp.dtype), value.to(logsumexp.dtype)
    drops = _Drops(dropout)
    for rows in _tiles(query, key):
        scores = _scores(query[..., rows, :], key, bias, rows, scale)
        lse = scores.logsumexp(-1)
        logsumexp[..., rows] = lse
        weights = scores.sub_(lse.masked_fill(lse.isneginf(), 0.0)[..., None]).exp_()
        output[..., rows, :] = (weights * drops.keep(weights)) @ value
    return output, logsumexp


def eager_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, lse: Tensor, bias: Tensor | None, *,
    scale: float, dropout: Dropout,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return what `flash_backward` does, and the gradient of a bias row: (stack, heads, 1, keys)."""
    dtype = wide(query.dtype)
    key, value = key.to(dtype), value.to(dtype)
    grad_query, grad_key, grad_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
    grad_bias = key.new_zeros(*query.shape[:2], 1, key.shape[2])
    drops = _Drops(dropout)
    for rows in _tiles(query, key):
        queries, grads = query[..., rows, :].to(dtype), grad[..., rows, :].to(dtype)
        weights = _scores(queries, key, bias, rows, scale).sub_(lse[..., rows, None]).exp_()
        keep = drops.keep(weights)
        grad_value += _summed((weights * keep).transpose(-2, -1) @ grads, value.shape[1])
        dot = (grads * output[..., rows, :]).sum(-1, keepdim=True)
        grad_scores = (grads @ value.transpose(-2, -1)).mul_(keep).sub_(dot).mul_(weights)
        grad_bias += grad_scores.sum(-2, keepdim=True)
        grad_scores *= scale
        grad_query[..., rows, :] = grad_scores @ key
        grad_key += _summed(grad_scores.transpose(-2, -1) @ queries, key.shape[1])
    return grad_query, grad_key, grad_value, grad_bias


class _Drops:
    """Draws the kept weights of one tile after the other; the same seed draws the same again."""

    def __init__(self, dropout: Dropout) -> None:
        self._share = dropout.share
        self._generator = torch.Generator("cpu").manual_seed(dropout.seed)

    def keep(self, weights: Tensor) -> Tensor:
        """Return 0 for a dropped weight, 1/(1 - share) for a kept one."""
        if self._share == 0.0:
            return weights.new_ones(())
        kept = torch.empty_like(weights).bernoulli_(1 - self._share, generator=self._generator)
        return kept.div_(1 - self._share) if self._share < 1 else kept


def _shared(keys: Tensor, query: Tensor) -> Tensor:
    """Let all heads of the queries read keys of one head: a view without a stride between the heads."""
    return keys.expand(-1, query.shape[1], -1, -1)


def _summed(gradients: Tensor, heads: int) -> Tensor:
    """Sum the gradients of what all heads share."""
    if gradients.shape[1] == heads:
        return gradients
    return gradients.sum(1, keepdim=True, dtype=wide(gradients.dtype))


def _scores(query: Tensor, key: Tensor, bias: Tensor | None, rows: slice, scale: float) -> Tensor:
    scores = (query.to(key.dtype) @ key.transpose(-2, -1)).mul_(scale)
    if bias is not None:
        scores += bias if bias.shape[2] == 1 else bias[:, :, rows]
    return scores


def _tiles(query: Tensor, key: Tensor) -> Iterator[slice]:
    stack, heads, queries, _ = query.shape
    step = max(1, _TILE // (stack * heads * key.shape[2]))
    for start in range(0, queries, step):
        yield slice(start, min(start + step, queries))


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that sums are kept in: that of the log-sum-exp."""
    return torch.float64 if dtype == torch.float64 else torch.float32
