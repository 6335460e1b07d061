"""Counting the work of calls and plans in parts, from shapes and from a plan's own blocks."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...grammar.rules import Strategy
from ..blocks.block import Block, BlockGroup
from ..head_groups import HeadGroup, head_groups
from ..head_order import HeadOrder
from ..plan import Plan
from ..position_mask import FREE, PositionMask
from .parts import DenseParts, MaskParts, PlanParts, SparseParts


class Shape(NamedTuple):
    """The sizes of a call: `length` is that of the keys, whose last `queries` places are the queries, None for all.

    `key_heads` may be fewer than `heads`, which share them then.
    """

    batch: int
    heads: int
    key_heads: int
    length: int
    head_dim: int
    queries: int | None = None

    @property
    def rows(self) -> int:
        """The number of queries of a text."""
        return self.length if self.queries is None else self.queries


def dense_parts(shape: Shape, *, mask_heads: int, is_learned: bool = False, calls: int = 1) -> DenseParts:
    """Count `calls` on the dense path, for a part of the queries each, under a mask or bias of `mask_heads` heads.

    `mask_heads` is 0 where there is none. One that is learned is made anew in each call.
    """
    batch, heads, head_dim, pairs = shape.batch, shape.heads, shape.head_dim, shape.rows * shape.length
    scores, cells = batch * heads * pairs, batch * mask_heads * pairs
    rows = max(min(shape.rows, -(-batch * shape.rows // calls)), 1)  # a part is some texts, or some queries of one
    tiles = batch * heads * -(-shape.rows // rows) * -(-rows // tile(rows))
    return DenseParts(
        calls=calls,
        numbers_out=batch * heads * shape.rows * head_dim,
        tiles=tiles,
        loads=tiles * head_dim * shape.length,
        products=scores * head_dim,
        scores=scores,
        masked=scores if mask_heads else 0,
        gathered=cells if is_learned else 0,
    )


def mask_parts(
    plan: Plan, *, mask_heads: int, masks: int = 1, rows: int | None = None, position: PositionMask = FREE
) -> MaskParts:
    """Count the making of a layer's mask or bias, as one or as several `masks` of a part each.

    It is for so many `rows` of queries, None for all, under the model's own mask of positions.
    """
    batch, length = plan.shape
    rows = length if rows is None else rows
    pairs = batch * length * rows
    return MaskParts(
        masks=masks,
        pairs=pairs,
        hard=pairs if plan.strategy == "hard" else 0,
        placed=0 if position.is_free else length * rows,
        cells=mask_heads * pairs,
    )


def sparse_parts(block_groups: Sequence[BlockGroup], shape: Shape, dtype: torch.dtype, *, drops: bool) -> SparseParts:
    """Count a call in blocks."""
    batch, heads, key_heads, length, head_dim, _ = shape
    counts = dict.fromkeys(SparseParts.names(), 0.0)
    counts["calls"], counts["numbers_out"] = 1, batch * heads * shape.rows * head_dim
    query = torch.empty((batch, heads, shape.rows, head_dim), dtype=dtype, device="meta")
    key = torch.empty((batch, key_heads, length, head_dim), dtype=dtype, device="meta")
    order = HeadOrder.of(block_groups, heads, key_heads)
    counts["copied_rows"] += 0 if order is None else 2 * batch * heads * shape.rows * head_dim  # there and back
    for group in head_groups(block_groups, query, key, order, drops=drops):
        width = head_dim * _count(group.heads), head_dim * _count(group.key_heads)
        _count_group(counts, group.block_group, *width)
        for block in group.block_group.blocks:
            _count_block(counts, group, block, head_dim, width[1])
    return SparseParts(**counts)


def _count(heads: slice | Tensor) -> int:
    return heads.stop - heads.start if isinstance(heads, slice) else len(heads)


def _count_group(counts: dict[str, float], group: BlockGroup, width: int, key_width: int) -> None:
    counts["groups"] += 1
    if isinstance(group.rows.positions, Tensor):
        counts["copies"] += group.rows.count
        counts["copied_rows"] += group.rows.count * width
    if isinstance(group.keys.positions, Tensor):
        counts["copies"] += group.keys.count
        counts["copied_keys"] += group.keys.count * key_width


def _count_block(counts: dict[str, float], group: HeadGroup, block: Block, head_dim: int, key_width: int) -> None:
    heads = _count(group.heads)
    queries = block.chunk or block.rows.stop - block.rows.start
    tiles = heads * block.stack * -(-queries // tile(queries))
    scores = heads * block.pairs
    counts["starts"] += 1
    counts["tiles"] += tiles
    counts["loads"] += tiles * head_dim * block.pairs / (block.stack * queries)
    counts["products"] += scores * head_dim
    counts["scores"] += scores
    if group.adds(block):
        counts["merged"] += (block.rows.stop - block.rows.start) * heads * head_dim
    if isinstance(block.keys, Tensor):
        counts["copies"] += len(block.keys)
        counts["copied_keys"] += key_width * len(block.keys)
    if callable(block.bias):
        counts["masked"] += scores
        counts["explicit"] += block.pairs
    elif block.table_row is not None or (block.bias is not None and block.bias.shape[2] == 1 < queries):
        counts["rows"] += scores
    elif block.bias is not None:
        counts["masked"] += scores
        counts["converted"] += 0 if block.bias.is_floating_point() else scores


def tile(queries: int) -> int:
    """Return how many queries PyTorch's fused CPU kernel takes at a time."""
    return 256 if queries >= 768 else 64 if queries >= 192 else 32


def plan_parts(block_groups: Sequence[BlockGroup], strategy: Strategy) -> PlanParts:
    """Count the making of blocks."""
    blocks = [block for group in block_groups for block in group.blocks]
    bands = sum(block.chunk > 0 for block in blocks)
    masks = [block for block in blocks if isinstance(block.bias, Tensor) and block.bias.shape[2] > 1]
    return PlanParts(
        texts=len({group.text for group in block_groups}),
        tokens=sum(group.rows.count + group.keys.count for group in block_groups),
        blocks=len(blocks),
        bands=bands,
        hard=bands if strategy == "hard" else 0,
        pairs=sum(block.pairs for block in masks),
        cells=sum(block.pairs * block.bias.shape[1] for block in masks if isinstance(block.bias, Tensor)),
    )
