"""FlexAttention over the calls of a plan, merged by log-sum-exp: compiled on a GPU, plain PyTorch on the CPU."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import torch
from torch import Tensor

from .block_lists import BlockLists
from .calls import FlexCall
from .pair_functions import mask_function, score_function
from .pair_kind import PairKind, PairTensors
from .side import BLOCK

_EMPTY: Final[float] = -1e30  # stands for the log-sum-exp -inf, whose gradients would not be numbers


def flex_attention(
    query: Tensor, key: Tensor, value: Tensor, calls: Sequence[FlexCall], *, scale: float,
    strengths: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return attention (batch, heads, queries, head_dim) over the pairs of `calls`, 0 for queries that read nothing.

    `query` is (batch, heads, queries, head_dim), `key` and `value` (batch, key heads, keys, head_dim): each head of the
    keys is shared by as many of the queries. `strengths` (heads or 1, tags, tags) is the learned table that scores
    look up.
    """
    first, *others = (_attend(query, key, value, call, scale, strengths) for call in calls)
    for other in others:
        first = _merged(first, other)
    return first[0]


def _attend(
    query: Tensor, key: Tensor, value: Tensor, call: FlexCall, scale: float, strengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the output of one call and the log-sum-exp of its scores, in the order of the queries."""
    tensors = call.tensors if strengths is None else call.tensors._replace(cells=strengths.flatten(1))
    inputs = _taken(query, call.rows), _taken(key, call.keys), _taken(value, call.keys)
    output, lse = _kernel(query.device.type)(*inputs, tensors, call.blocks, kind=call.kind, scale=scale)
    return _taken(output, call.back), _taken(lse[..., None], call.back)[..., 0]


def _taken(tensor: Tensor, order: Tensor | None) -> Tensor:
    """Return (batch, heads, tokens, size) in another order of the tokens (batch, tokens)."""
    if order is None:
        return tensor
    return tensor.gather(2, order[:, None, :, None].expand(-1, tensor.shape[1], -1, tensor.shape[3]))


def _merged(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Merge attention of the same queries over keys of their own, with the log-sum-exp of both."""
    (output, lse), (other_output, other_lse) = (
        (values, scores.masked_fill(scores.isneginf(), _EMPTY)) for values, scores in (one, other)
    )
    share = torch.sigmoid(other_lse - lse)[..., None]
    merged = torch.lerp(output.to(share.dtype), other_output.to(share.dtype), share).to(output.dtype)
    return merged, torch.logaddexp(lse, other_lse)


@cache
def _kernel(device: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return the function that attends: on a GPU compiled, once for any batch, and never left uncompiled silently."""
    if device == "cpu":
        return _flex
    return torch.compile(_flex, dynamic=True, fullgraph=True)


def _flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    tensors: PairTensors,
    blocks: BlockLists,
    *,
    kind: PairKind,
    scale: float,
) -> tuple[Tensor, Tensor]:
    # Imported when first used: it brings PyTorch's compiler along.
    from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

    mask = BlockMask(
        (query.shape[2], key.shape[2]),
        **blocks._asdict(),
        BLOCK_SIZE=(BLOCK, BLOCK),
        mask_mod=mask_function(kind, tensors),
    )
    output, aux = flex_attention(
        query, key, value, score_mod=score_function(kind, tensors), block_mask=mask, scale=scale,
        enable_gqa=key.shape[1] < query.shape[1], return_aux=AuxRequest(lse=True),
    )  # fmt: skip
    assert aux.lse is not None  # noqa: S101 - it was asked for
    return output, aux.lse
