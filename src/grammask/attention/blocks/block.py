"""Blocks and their groups: what the sparse kernels work through, never n x n.

A block is a rectangle of queries and keys of one text, with a mask or bias where not all of its pairs are read alike.
A group is a list of blocks of one text over the same heads and one order of keys; groups merge by log-sum-exp.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ALL: Final = slice(None)
# Numbers that a processor takes at a time, at most. What is left of a block's keys, the fused kernel walks one by one,
# which costs each query as much as some twenty keys: masked keys in their place are cheaper.
LANES: Final[int] = 16


@dataclass(frozen=True, eq=False)
class TokenIndex:
    """Which tokens of a text, by their positions in the batch, and in which order: a slice, or indices (tokens,).

    Indices that reorder all of a slice also have that slice as `span`, and the `inverse` that leads back to it.
    """

    positions: slice | Tensor
    span: slice | None = None
    inverse: Tensor | None = None

    @property
    def count(self) -> int:
        """The number of tokens."""
        return self.positions.stop - self.positions.start if isinstance(self.positions, slice) else len(self.positions)

    @classmethod
    def of(cls, positions: NDArray[np.int64]) -> "TokenIndex":
        """Find the cheapest form: slices cost no copy."""
        index = as_slice(positions)
        if isinstance(index, slice):
            return cls(index)
        first, count = int(positions.min()), len(positions)
        if int(positions.max()) - first + 1 != count:
            return cls(index)
        inverse = np.empty(count, dtype=np.int64)
        inverse[positions - first] = np.arange(count)
        return cls(index, slice(first, first + count), torch.from_numpy(inverse))


@dataclass(frozen=True, eq=False)
class Block:
    """Queries `rows` and keys `keys` of one group, and the bias of their pairs.

    `rows` and `keys` count among the group's; `keys` may be indices (stack * keys,). A block may be a stack of equal
    rectangles of `chunk` queries each, as in a band; the last may be short of queries. `pairs` counts what is computed.
    `bias` (stack, all heads or 1, queries or 1, keys) is bool (True means "may read") or float, added to the scores, or
    a mask of all heads in bits, see `head_bits`; a function makes it anew each time, where it is too large to keep.
    Floats that are alike in the whole stack may be expanded: they are read without a copy. `empty` (stack, all heads or
    1, queries) marks queries that read nothing in this block, if there are any. `table_row` names the row of a learned
    strength table (tags, by query) that the keys' tags select a bias from, which is added to `bias`.
    `accumulates` tells that an earlier block of the group has read other pairs of these queries.
    """

    rows: slice
    keys: slice | Tensor
    pairs: int
    stack: int = 1
    chunk: int = 0
    bias: Tensor | Callable[[], Tensor] | None = None
    empty: Tensor | None = None
    table_row: int | None = None
    accumulates: bool = False


@dataclass(frozen=True, eq=False)
class BlockGroup:
    """Blocks of one text (counted in the batch). Those that don't accumulate have each query of the group just once.

    `rows` count among the queries, `keys` among the keys: the two may differ in length. `heads` (None: all) are those
    that the blocks are for. `key_tags` (keys,) are the keys' tags, where a learned table
    needs them. `accumulates` tells that an earlier group has read other pairs of these queries: the results are merged
    by log-sum-exp.
    """

    text: int
    rows: TokenIndex
    keys: TokenIndex
    blocks: tuple[Block, ...]
    heads: Tensor | None = None
    key_tags: Tensor | None = None
    accumulates: bool = False

    @property
    def merges(self) -> bool:
        """Whether any results are merged by log-sum-exp."""
        return self.accumulates or any(block.accumulates for block in self.blocks)


def in_lanes(keys: int) -> int:
    """Return the next number of keys that leaves nothing to walk one by one."""
    return -(-keys // LANES) * LANES


def as_slice(positions: NDArray[np.int64]) -> slice | Tensor:
    """Return ascending neighbours as a slice, anything else as indices."""
    first, last = int(positions[0]), int(positions[-1])
    if last - first + 1 == len(positions) and bool((np.diff(positions) == 1).all()):
        return slice(first, last + 1)
    return torch.from_numpy(positions)


def find_empty(bias: Tensor) -> Tensor | None:
    """Return the queries that a bias lets read nothing, as `Block.empty`; None when all read something."""
    empty = ~bias.any(-1) if bias.dtype == torch.bool else bias.amax(-1).isneginf()
    return empty if bool(empty.any()) else None


def as_bias(mask: Tensor, out: Tensor | None = None) -> Tensor:
    """Return a mask (True means "may read") as the float bias that it stands for, in `out`; a bias stays as it is."""
    if mask.dtype != torch.bool:
        return mask
    bias = torch.empty(mask.shape, dtype=torch.float32, device=mask.device) if out is None else out
    # 1 - 1/1 is 0, 1 - 1/0 is -inf: three passes that are vectorized, unlike filling and choosing.
    return torch.sub(torch.ones((), dtype=bias.dtype, device=mask.device), bias.copy_(mask).reciprocal_(), out=bias)
