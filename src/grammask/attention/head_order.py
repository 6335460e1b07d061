"""Which heads of a group come together, and in which order.

In the order of what they read, those of a group are neighbours, so that nothing of theirs is copied.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from .blocks.block import BlockGroup


class HeadOrder(NamedTuple):
    """Heads of the queries in an order where those of each group are neighbours, `sharing` of them to one of the keys.

    Where each has keys of its own, these are in the same order.
    """

    heads: tuple[int, ...]
    sharing: int

    @classmethod
    def of(cls, block_groups: Sequence[BlockGroup], heads: int, key_heads: int) -> "HeadOrder | None":
        """Find the order; None where groups are for all heads, or share some."""
        sets = {None if group.heads is None else tuple(group.heads.tolist()) for group in block_groups}
        order = tuple(head for each in sets for head in each or ())
        return cls(order, heads // key_heads) if None not in sets and sorted(order) == [*range(heads)] else None

    def take(self, tensor: Tensor) -> Tensor:
        """Bring (batch, heads, ...) into this order; keys that heads share stay as they are."""
        return tensor if tensor.shape[1] != len(self.heads) else tensor.index_select(1, self._index(self.heads))

    def put_back(self, output: Tensor) -> Tensor:
        """Bring (batch, heads, queries, head_dim) back into the model's order, tokens outermost in memory."""
        places = sorted(range(len(self.heads)), key=self.heads.__getitem__)
        return output.transpose(1, 2).index_select(2, self._index(places)).transpose(1, 2)

    def runs(self, heads: Tensor) -> Iterator[tuple[slice, slice]]:
        """Yield a group's heads with the same heads of the keys, as places in this order, and these."""
        first = self.heads.index(int(heads[0]))
        if self.sharing == 1:
            yield slice(first, first + len(heads)), slice(first, first + len(heads))
            return
        for key_head, some in groupby(heads.tolist(), lambda head: head // self.sharing):
            count = len([*some])
            yield slice(first, first + count), slice(key_head, key_head + 1)
            first += count

    @staticmethod
    def _index(places: Sequence[int]) -> Tensor:
        return torch.tensor(places, dtype=torch.int64, device="cpu")


def few_heads(
    group: BlockGroup, order: HeadOrder | None, heads: int, key_heads: int, most: int
) -> Iterator[tuple[slice | Tensor, slice | Tensor]]:
    """Yield the group's heads, and those of the keys, at `most` so many at a time but all that share one."""
    sharing = heads // key_heads
    if group.heads is None:
        for some in _cut(key_heads, max(most // sharing, 1)):
            yield slice(some.start * sharing, some.stop * sharing), some
    elif order is not None:
        for places, keys in order.runs(group.heads):
            for some in _cut(places.stop - places.start, most):
                own = keys if sharing > 1 else slice(keys.start + some.start, keys.start + some.stop)
                yield slice(places.start + some.start, places.start + some.stop), own
    elif sharing == 1:
        for some in _cut(len(group.heads), most):
            yield group.heads[some], group.heads[some]
    else:
        for key_head in range(key_heads):
            of_one = group.heads[group.heads // sharing == key_head]
            for some in _cut(len(of_one), most):
                yield of_one[some], slice(key_head, key_head + 1)


def _cut(count: int, most: int) -> Iterator[slice]:
    """Cut a range into runs of about equal size."""
    runs = -(-count // most)
    for first in range(0, count, step := max(-(-count // max(runs, 1)), 1)):
        yield slice(first, min(first + step, count))
