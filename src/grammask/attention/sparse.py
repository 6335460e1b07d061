"""Exact attention over the blocks of a plan: computed one by one, groups of blocks are merged by log-sum-exp."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import kernels
from .blocks.block import Block, BlockGroup
from .gather import own_rows, put_rows, scatter, stack_keys, stack_rows, unstack
from .head_groups import HeadGroup, covers_all, head_groups, results_like, scratch_like
from .head_order import HeadOrder
from .kernels import Dropout
from .shared_keys import SharedKeys


def sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    block_groups: Sequence[BlockGroup],
    *,
    scale: float,
    dropout: float = 0.0,
    strengths: Tensor | None = None,
) -> Tensor:
    """Return attention over the pairs of `block_groups`: (batch, heads, queries, head_dim), 0 for queries of none.

    `query` (batch, heads, queries, head_dim), `key` and `value` (batch, key heads, keys, head_dim) are on the CPU.
    Rows of the groups count among the queries, keys among the keys; each head of the keys is shared by as many of the
    queries. `strengths` (heads or 1, tags, tags) is the learned table that blocks with a `table_row` look up.
    """
    # Drawn from the global generator, so that a recomputed forward pass drops the same weights.
    seed = int(torch.randint(1 << 48, (), dtype=torch.int64, device="cpu").item()) if dropout else 0
    # The fused kernel reads head_dim without a stride.
    query, key, value = (tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in (query, key, value))
    # Only merging and the backward pass need the log-sum-exps.
    needs_lse = any(group.merges for group in block_groups) or (
        torch.is_grad_enabled()
        and any(tensor is not None and tensor.requires_grad for tensor in (query, key, value, strengths))
    )
    with torch.autocast("cpu", enabled=False):  # sums are kept in float32
        order = HeadOrder.of(block_groups, query.shape[1], key.shape[1])
        if order is not None:
            query, key, value = map(order.take, (query, key, value))
        output: Tensor = _SparseAttention.apply(
            query, key, value, strengths, block_groups, order, scale, Dropout(dropout, seed), needs_lse
        )
        return output if order is None else order.put_back(output)


class _SparseAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, strengths: Tensor | None,
        block_groups: Sequence[BlockGroup], order: HeadOrder | None, scale: float, dropout: Dropout, needs_lse: bool,
    ) -> Tensor:  # fmt: skip
        output = results_like(query)
        if not covers_all(block_groups, query):  # padding belongs to no group
            output.zero_()
        lse = query.new_full(query.shape[:-1] if needs_lse else (), -torch.inf, dtype=kernels.wide(query.dtype))
        drawn = dropout
        for group in head_groups(block_groups, query, key, order, drops=dropout.share > 0):
            queries = group.take_rows("query", query)
            keys, values = group.take_keys("key", key), group.take_keys("value", value)
            of_rows = group.results("output", output), group.results("lse", lse) if needs_lse else lse
            for block in group.block_group.blocks:
                rows, block_keys = stack_rows(queries, block), stack_keys("block key", keys, block)
                shared = SharedKeys.of(rows, block_keys)
                inputs = shared.split(
                    rows, block_keys, stack_keys("block value", values, block),
                    group.bias(block, strengths, lse.dtype),
                )  # fmt: skip
                kernel = partial(kernels.eager, dropout=drawn) if dropout.share else kernels.flash
                block_output, block_lse = shared.join(*kernel(*inputs, scale=scale))
                drawn = drawn.next()
                _put(of_rows, group, block, block_output, block_lse if needs_lse else None)
            if group.in_place:
                continue
            group.put_rows(output, of_rows[0])
            if needs_lse:
                group.put_rows(lse, of_rows[1])
        ctx.save_for_backward(query, key, value, strengths, output, lse)
        ctx.block_groups, ctx.order, ctx.scale, ctx.dropout = block_groups, order, scale, dropout
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        query, key, value, strengths, output, lse = ctx.saved_tensors
        lse = lse.masked_fill(lse.isneginf(), 0.0)  # what reads nothing has weights 0, not nan
        grad = grad if grad.stride(-1) == 1 else grad.contiguous()
        totals = [results_like(tensor, lse.dtype) for tensor in (query, key, value)]
        for total in totals[1:] if covers_all(ctx.block_groups, query) else totals:
            total.zero_()
        to_table = None if strengths is None else torch.zeros_like(strengths, dtype=lse.dtype)
        drawn = ctx.dropout
        for group in head_groups(ctx.block_groups, query, key, ctx.order, drops=ctx.dropout.share > 0):
            of_rows = [
                group.take_rows(name, tensor)
                for name, tensor in (("grad", grad), ("query", query), ("output", output), ("lse", lse))
            ]
            keys, values = group.take_keys("key", key), group.take_keys("value", value)
            to_query = group.results("to query", totals[0])
            if group.keys_in_place:
                to_key, to_value = (group.take_keys("", total) for total in totals[1:])
            else:
                to_key = scratch_like("to key", keys, lse.dtype).zero_()
                to_value = scratch_like("to value", values, lse.dtype).zero_()
            for block in group.block_group.blocks:
                grads, queries, outputs, lses = (stack_rows(tensor, block) for tensor in of_rows)
                block_keys = stack_keys("block key", keys, block)
                shared = SharedKeys.of(queries, block_keys)
                inputs = shared.split(
                    grads, queries, block_keys, stack_keys("block value", values, block), outputs, lses,
                    group.bias(block, strengths, lse.dtype),
                )  # fmt: skip
                if ctx.dropout.share or block.table_row is not None:
                    *block_grads, to_bias = shared.join(
                        *kernels.eager_backward(*inputs, scale=ctx.scale, dropout=drawn)
                    )
                    if to_table is not None:
                        group.add_to_table(to_table, to_bias, block)
                else:
                    block_grads = list(shared.join(*kernels.flash_backward(*inputs, scale=ctx.scale)))
                drawn = drawn.next()
                put_rows(to_query, block, block_grads[0], adding=group.adds(block))
                scatter(to_key, block.keys, unstack(block_grads[1]), adding=True)
                scatter(to_value, block.keys, unstack(block_grads[2]), adding=True)
            if not group.in_place:
                group.put_rows(totals[0], to_query)
            if not group.keys_in_place:
                group.add_keys(totals[1], to_key)
                group.add_keys(totals[2], to_value)
        to_strengths = None if strengths is None or to_table is None else to_table.to(strengths.dtype)
        return *(total.to(query.dtype) for total in totals), to_strengths, None, None, None, None, None


def _put(of_rows: tuple[Tensor, Tensor], group: HeadGroup, block: Block, output: Tensor, lse: Tensor | None) -> None:
    """Write a block's results, or merge them with what is there; `lse` is None where nobody asks for it."""
    if lse is not None and block.empty is not None:
        lse = lse.masked_fill(group.of_heads(block.empty, axis=1), -torch.inf)
    if lse is not None and group.adds(block):
        before, lse_before = (tensor[:, block.rows] for tensor in of_rows)
        _merge(before, lse_before, own_rows(output, block), own_rows(lse, block))
        return
    put_rows(of_rows[0], block, output)
    if lse is not None:
        put_rows(of_rows[1], block, lse)


def _merge(before: Tensor, lse_before: Tensor, output: Tensor, lse: Tensor) -> None:
    """Merge into an attention (heads, queries, head_dim) another of the same queries over keys of their own."""
    share = torch.sigmoid(lse - lse_before).nan_to_num_(0.0)[..., None]  # what reads nothing in both stays 0
    if before.dtype == share.dtype:
        before.lerp_(output, share)
    else:
        before.copy_(torch.lerp(before.to(share.dtype), output.to(share.dtype), share))
    torch.logaddexp(lse_before, lse, out=lse_before)
