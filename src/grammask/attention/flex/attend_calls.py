"""FlexAttention over the calls of a plan, merged by log-sum-exp: compiled on a GPU, plain PyTorch on the CPU."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor
from torch._dynamo import config as dynamo_config
from torch.fx.experimental import _config as symbol_config
from torch.nn.attention.flex_attention import AuxRequest, BlockMask
from torch.nn.attention.flex_attention import flex_attention as torch_flex

from .block_lists import BlockLists
from .calls import FlexCall
from .pair_functions import mask_function, score_function
from .pair_kind import PairKind, PairTensors
from .side import BLOCK

# Compilations, and whether numbers are constants of the code: a scale is one, sizes are not, however they relate.
_LIMITS: Final[dict[str, Any]] = {"recompile_limit": 256, "accumulated_recompile_limit": 1024, "specialize_float": True}
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
    merges = len(calls) > 1
    (output, lse), *others = (_attend(query, key, value, call, scale, strengths, merges=merges) for call in calls)
    for other_output, other_lse in others:
        output, lse = _merged(output, lse, other_output, other_lse)
    return output


def _attend(
    query: Tensor, key: Tensor, value: Tensor, call: FlexCall, scale: float, strengths: Tensor | None, *, merges: bool
) -> tuple[Tensor, Tensor]:
    """Return the output of one call in the order of the queries, and the log-sum-exp of its scores if it `merges`."""
    tensors = call.tensors if strengths is None else call.tensors._replace(cells=strengths.flatten(1))
    inputs = _taken(query, call.rows), _taken(key, call.keys), _taken(value, call.keys)
    kernel = _flex if query.device.type == "cpu" else _compiled
    output, lse = kernel(*inputs, tensors, call.blocks, kind=call.kind, scale=scale, merges=merges)
    return _taken(output, call.back), _taken(lse[..., None], call.back)[..., 0] if merges else lse


def _taken(tensor: Tensor, order: Tensor | None) -> Tensor:
    """Return (batch, heads, tokens, size) in another order of the tokens (batch, tokens)."""
    if order is None:
        return tensor
    return tensor.gather(2, order[:, None, :, None].expand(-1, tensor.shape[1], -1, tensor.shape[3]))


def _merged(output: Tensor, lse: Tensor, other_output: Tensor, other_lse: Tensor) -> tuple[Tensor, Tensor]:
    """Merge attention of the same queries over keys of their own, with the log-sum-exp of both."""
    lse, other_lse = (scores.masked_fill(scores.isneginf(), _EMPTY) for scores in (lse, other_lse))
    share = torch.sigmoid(other_lse - lse)[..., None]
    merged = torch.lerp(output.to(share.dtype), other_output.to(share.dtype), share).to(output.dtype)
    return merged, torch.logaddexp(lse, other_lse)


def _compiled(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Attend by compiled code: made once for each kind of pairs, dtype and scale, for batches of any shape."""
    with dynamo_config.patch(**_LIMITS), symbol_config.patch(use_duck_shape=False):  # type: ignore[attr-defined]
        return _compile()(*args, **kwargs)


@cache
def _compile() -> Callable[..., tuple[Tensor, Tensor]]:
    # fullgraph: what cannot be compiled is an error, not all n x n scores.
    return torch.compile(_flex, dynamic=True, fullgraph=True)


def _flex(
    query: Tensor, key: Tensor, value: Tensor, tensors: PairTensors, blocks: BlockLists, *, kind: PairKind,
    scale: float, merges: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    mask = BlockMask(
        (query.shape[2], key.shape[2]),
        **blocks._asdict(),
        BLOCK_SIZE=(BLOCK, BLOCK),
        mask_mod=mask_function(kind, tensors),
    )
    output, aux = torch_flex(
        query, key, value, score_mod=score_function(kind, tensors), block_mask=mask, scale=scale,
        enable_gqa=key.shape[1] < query.shape[1], return_aux=AuxRequest(lse=merges),
    )  # fmt: skip
    return output, output if aux.lse is None else aux.lse
