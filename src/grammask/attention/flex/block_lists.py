"""A block map as the lists that FlexAttention's kernels walk, by queries and, for the backward pass, by keys."""

from typing import NamedTuple

import torch
from torch import Tensor

from .block_map import BlockMap


class BlockLists(NamedTuple):
    """Counts and indices (int32) of blocks that are masked pair by pair, and of full ones, under `BlockMask`'s names.

    `kv` are the blocks of keys for each block of queries, `q` the blocks of queries for each block of keys.
    """

    kv_num_blocks: Tensor
    kv_indices: Tensor
    full_kv_num_blocks: Tensor
    full_kv_indices: Tensor
    q_num_blocks: Tensor
    q_indices: Tensor
    full_q_num_blocks: Tensor
    full_q_indices: Tensor


def list_blocks(found: BlockMap) -> BlockLists:
    """Return the lists of a block map."""
    full = found.full.expand_as(found.some)
    masked = found.some & ~full
    by_queries = (*_listed(masked), *_listed(full))
    return BlockLists(*by_queries, *_listed(masked.transpose(2, 3)), *_listed(full.transpose(2, 3)))


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many are True along the last axis, and all indices, those of the True ones first."""
    order = torch.argsort(blocks.to(torch.int8), dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32), order.to(torch.int32).contiguous()
