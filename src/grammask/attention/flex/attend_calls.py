"""FlexAttention over the calls of a plan, merged by log-sum-exp: compiled on a GPU, plain PyTorch on the CPU."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, FlexKernelOptions
from torch.nn.attention.flex_attention import flex_attention as torch_flex

from .calls import FlexCall, Order
from .compiling import compiling
from .pair_functions import mask_function, score_function
from .side import BLOCK

# Small tiles: what decides a pair must fit into registers beside its score. Where it doesn't, a pair takes ten times as
# long. They divide BLOCK.
_TILES: Final[FlexKernelOptions] = {  # type: ignore[typeddict-unknown-key]
    "fwd_BLOCK_M": 64, "fwd_BLOCK_N": 32, "bwd_BLOCK_M1": 64, "bwd_BLOCK_N1": 64, "bwd_BLOCK_M2": 64,
    "bwd_BLOCK_N2": 64, "num_warps": 4,
}  # fmt: skip
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
    if strengths is not None:
        # Up to PyTorch 2.13 a view that scores read has no gradients, and up to 2.11 a row for all heads no kernel.
        strengths = strengths.flatten(1).expand(query.shape[1], -1).clone()
        torch._dynamo.mark_static(strengths)  # PyTorch cannot make the gradients of a table of any size
    attend = _attend if query.device.type == "cpu" else _compiled
    return attend(query, key, value, tuple(calls), scale=scale, strengths=strengths)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, calls: tuple[FlexCall, ...], *, scale: float, strengths: Tensor | None
) -> Tensor:
    merges = len(calls) > 1
    (output, lse), *others = (_one(query, key, value, call, scale, strengths, merges=merges) for call in calls)
    for other_output, other_lse in others:
        output, lse = _merged(output, lse, other_output, other_lse)
    return output


def _one(
    query: Tensor, key: Tensor, value: Tensor, call: FlexCall, scale: float, strengths: Tensor | None, *, merges: bool
) -> tuple[Tensor, Tensor]:
    """Return the output of one call in the order of the queries, and the log-sum-exp of its scores if it `merges`."""
    tensors = call.tensors
    if strengths is not None and tensors.cells is not None:
        tensors = tensors._replace(cells=tensors.cells._replace(table=strengths))
    query, key, value = _taken(query, call.rows), _taken(key, call.keys), _taken(value, call.keys)
    mask = BlockMask(
        (query.shape[2], key.shape[2]),
        **call.blocks._asdict(),
        BLOCK_SIZE=(BLOCK, BLOCK),
        mask_mod=mask_function(call.kind, tensors),
    )
    output, aux = torch_flex(
        query, key, value, score_mod=score_function(call.kind, tensors), block_mask=mask, scale=scale,
        enable_gqa=key.shape[1] < query.shape[1], return_aux=AuxRequest(lse=merges), kernel_options=_TILES,
    )  # fmt: skip
    back = None if call.rows is None else call.rows.turned
    return _taken(output, back), output if aux.lse is None else _taken(aux.lse[..., None], back)[..., 0]


def _taken(tensor: Tensor, order: Order | None) -> Tensor:
    """Return (batch, heads, tokens, size) in another order of the tokens."""
    return tensor if order is None else _Reordered.apply(tensor, *order)


class _Reordered(torch.autograd.Function):
    """Tokens in another order; gradients come by the reverse order, where those of a plain gather would be added up."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, order: Tensor, reverse: Tensor) -> Tensor:
        ctx.save_for_backward(reverse)
        return _gathered(tensor, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _gathered(gradient, *ctx.saved_tensors), None, None


def _gathered(tensor: Tensor, order: Tensor) -> Tensor:
    return tensor.gather(2, order[:, None, :, None].expand(-1, tensor.shape[1], -1, tensor.shape[3]))


def _merged(output: Tensor, lse: Tensor, other_output: Tensor, other_lse: Tensor) -> tuple[Tensor, Tensor]:
    """Merge attention of the same queries over keys of their own, with the log-sum-exp of both."""
    lse, other_lse = (scores.masked_fill(scores.isneginf(), _EMPTY) for scores in (lse, other_lse))
    share = torch.sigmoid(other_lse - lse)[..., None]
    merged = torch.lerp(output.to(share.dtype), other_output.to(share.dtype), share).to(output.dtype)
    return merged, torch.logaddexp(lse, other_lse)


def _compiled(query: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Attend by compiled code: made once for each kind of pairs, dtype and scale, for batches of any shape."""
    with compiling(query):
        return _compile()(query, *args, **kwargs)


@cache
def _compile() -> Callable[..., Tensor]:
    # fullgraph: what cannot be compiled is an error, not all n x n scores.
    return torch.compile(_attend, dynamic=True, fullgraph=True)
