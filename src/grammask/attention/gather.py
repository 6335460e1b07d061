"""Gathering the queries and keys of a block, and scattering results back.

Inside, tensors of a text are (heads, tokens, head_dim), or (heads, tokens) for log-sum-exps. Slices stay views; tokens
are gathered along whichever axis lies outermost in memory, which is several times faster.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .blocks.block import Block
from .scratch import scratch


def gather(tensor: Tensor, positions: slice | Tensor, name: str) -> Tensor:
    """Gather tokens of (heads, tokens, ...): (heads, positions, ...), a view or scratch memory under `name`."""
    if isinstance(positions, slice):
        return tensor[:, positions]
    axis = 0 if tensor.stride(0) < tensor.stride(1) else 1
    outermost = tensor.transpose(0, 1) if axis == 0 else tensor
    shape = [*outermost.shape]
    shape[axis] = len(positions)
    gathered = torch.index_select(outermost, axis, positions, out=scratch(name, shape, tensor.dtype))
    return gathered.transpose(0, 1) if axis == 0 else gathered


def scatter_permuted(target: Tensor, span: slice, values: Tensor, inverse: Tensor, *, adding: bool) -> None:
    """Write (heads, positions, ...), permuted, into a span of (heads, tokens, ...), or add it."""
    inside = target[:, span].transpose(0, 1)
    if (
        not adding
        and inside[0].is_contiguous()
        and values.dtype == target.dtype
        and values.stride(0) < values.stride(1)
    ):
        torch.index_select(values.transpose(0, 1), 0, inverse, out=inside)
    else:
        scatter(target, span, gather(values, inverse, "inverse"), adding=adding)


def scatter(target: Tensor, positions: slice | Tensor, values: Tensor, *, adding: bool) -> None:
    """Write (heads, positions, ...) into the tokens of (heads, tokens, ...), or add it to them."""
    if isinstance(positions, slice):
        if adding:
            target[:, positions] += values
        else:
            target[:, positions] = values
        return
    axis = 1
    if target.stride(0) < target.stride(1):
        axis, target, values = 0, target.transpose(0, 1), values.transpose(0, 1)
    if adding:
        target.index_add_(axis, positions, values.to(target.dtype))
    else:
        target.index_copy_(axis, positions, values)


def stack_rows(tensor: Tensor, block: Block) -> Tensor:
    """Select a block's queries from (heads, tokens, ...): (stack, heads, queries, ...), short chunks filled with 0."""
    rows = tensor[:, block.rows]
    if block.stack == 1:
        return rows[None]
    if missing := block.stack * block.chunk - rows.shape[1]:
        rows = F.pad(rows, (*(0, 0) * (rows.dim() - 2), 0, missing))
    return _split(rows, block.stack)


def put_rows(target: Tensor, block: Block, values: Tensor, *, adding: bool = False) -> None:
    """Write a block's (stack, heads, queries, ...) into its rows of (heads, tokens, ...), or add it to them."""
    rows = target[:, block.rows]
    if adding:
        rows += own_rows(values, block)
    else:
        rows.copy_(own_rows(values, block))


def own_rows(values: Tensor, block: Block) -> Tensor:
    """Turn a block's (stack, heads, queries, ...) into (heads, rows, ...), without what fills short chunks."""
    return values[0] if block.stack == 1 else unstack(values)[:, : block.rows.stop - block.rows.start]


def stack_keys(name: str, tensor: Tensor, block: Block) -> Tensor:
    """Select a block's keys from (heads, tokens, ...): (stack, heads, keys, ...), a view or scratch memory."""
    keys = gather(tensor, block.keys, name)
    return keys[None] if block.stack == 1 else _split(keys, block.stack)


def unstack(tensor: Tensor) -> Tensor:
    """Turn (stack, heads, tokens, ...) back into (heads, stack * tokens, ...)."""
    if tensor.shape[0] == 1:
        return tensor[0]
    return tensor.transpose(1, 2).flatten(0, 1).transpose(0, 1)


def _split(tensor: Tensor, stack: int) -> Tensor:
    """Turn (heads, stack * tokens, ...) into (stack, heads, tokens, ...), a view."""
    heads, tokens, *rest = tensor.shape
    return tensor.view(heads, stack, tokens // stack, *rest).transpose(0, 1)
