"""Selecting the queries and keys of a block, and putting results back.

Inside, tensors of a text are (heads, tokens, head_dim), or (heads, tokens) for log-sum-exps. Slices stay views; tokens
are gathered along whichever axis lies outermost in memory, which is several times faster.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .blocks.block import Block
from .scratch import scratch


def select(tensor: Tensor, positions: slice | Tensor, name: str) -> Tensor:
    """Select tokens of (heads, tokens, ...): (heads, positions, ...), a view or scratch memory under `name`."""
    if isinstance(positions, slice):
        return tensor[:, positions]
    axis = 0 if tensor.stride(0) < tensor.stride(1) else 1
    outermost = tensor.transpose(0, 1) if axis == 0 else tensor
    shape = [*outermost.shape]
    shape[axis] = len(positions)
    found = torch.index_select(outermost, axis, positions, out=scratch(name, shape, tensor.dtype))
    return found.transpose(0, 1) if axis == 0 else found


def reorder(target: Tensor, span: slice, found: Tensor, inverse: Tensor, *, adding: bool) -> None:
    """Write (heads, positions, ...), reordered, into a span of (heads, tokens, ...), or add it."""
    inside = target[:, span].transpose(0, 1)
    if not adding and inside.is_contiguous() and found.dtype == target.dtype and found.stride(0) < found.stride(1):
        torch.index_select(found.transpose(0, 1), 0, inverse, out=inside)
    else:
        insert(target, span, select(found, inverse, "inverse"), adding=adding)


def insert(target: Tensor, positions: slice | Tensor, found: Tensor, *, adding: bool) -> None:
    """Write (heads, positions, ...) into the tokens of (heads, tokens, ...), or add it to them."""
    if isinstance(positions, slice):
        if adding:
            target[:, positions] += found
        else:
            target[:, positions] = found
        return
    axis = 1
    if target.stride(0) < target.stride(1):
        axis, target, found = 0, target.transpose(0, 1), found.transpose(0, 1)
    if adding:
        target.index_add_(axis, positions, found.to(target.dtype))
    else:
        target.index_copy_(axis, positions, found)


def stack_rows(tensor: Tensor, block: Block) -> Tensor:
    """Select a block's queries from (heads, tokens, ...): (stack, heads, queries, ...), short chunks filled with 0."""
    found = tensor[:, block.rows]
    if block.stack == 1:
        return found[None]
    if missing := block.stack * block.chunk - found.shape[1]:
        found = F.pad(found, (*(0, 0) * (found.dim() - 2), 0, missing))
    return _split(found, block.stack)


def put_rows(target: Tensor, block: Block, found: Tensor) -> None:
    """Write a block's (stack, heads, queries, ...) into its rows of (heads, tokens, ...)."""
    if block.stack == 1:
        target[:, block.rows] = found[0]
    else:
        target[:, block.rows] = unstack(found)[:, : block.rows.stop - block.rows.start]


def stack_keys(name: str, tensor: Tensor, block: Block) -> Tensor:
    """Select a block's keys from (heads, tokens, ...): (stack, heads, keys, ...), a view or scratch memory."""
    found = select(tensor, block.keys, name)
    return found[None] if block.stack == 1 else _split(found, block.stack)


def unstack(tensor: Tensor) -> Tensor:
    """Turn (stack, heads, tokens, ...) back into (heads, stack * tokens, ...)."""
    if tensor.shape[0] == 1:
        return tensor[0]
    return tensor.transpose(1, 2).flatten(0, 1).transpose(0, 1)


def _split(tensor: Tensor, stack: int) -> Tensor:
    """Turn (heads, stack * tokens, ...) into (stack, heads, tokens, ...), a view."""
    heads, tokens, *rest = tensor.shape
    return tensor.view(heads, stack, tokens // stack, *rest).transpose(0, 1)
