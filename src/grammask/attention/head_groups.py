"""Head groups: a group of blocks, a few heads at a time, with what it takes from the batch and puts back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ..grammar.tags import TAGS
from .blocks.block import Block, BlockGroup, TokenIndex, as_bias
from .blocks.head_bits import additive_mask
from .gather import gather, scatter, scatter_permuted
from .head_order import HeadOrder, few_heads
from .scratch import scratch

_COPY: Final[int] = 1 << 22  # bytes of one reordered copy
_DROPPING: Final[int] = 8  # heads at a time, at least, under attention dropout


@dataclass(frozen=True, eq=False)
class HeadGroup:
    """A group of blocks and some of the heads that it is for.

    `heads` are those of the queries, of `all_heads` that there are. `key_heads` are those of the keys that they read,
    each shared by as many neighbours.
    """

    block_group: BlockGroup
    heads: slice | Tensor
    key_heads: slice | Tensor
    all_heads: int

    @property
    def in_place(self) -> bool:
        """Whether results can be written, or merged, where they belong; else in a copy that is put back."""
        return _is_view(self.block_group.rows, self.heads)

    def adds(self, block: Block) -> bool:
        """Tell whether other pairs of a block's queries were read before: their results are where its go."""
        return block.accumulates or self.block_group.accumulates

    def results(self, name: str, batch: Tensor) -> Tensor:
        """Return where the group's results for (batch, heads, queries, ...) go: (heads, rows, ...).

        They hold what earlier groups read, if there is any.
        """
        if self.in_place or self.block_group.accumulates:
            return self.take_rows(name, batch)
        text = batch[self.block_group.text]
        shape = (self.block_group.rows.count, len(text[self.heads]), *text.shape[2:])
        return scratch(name, shape, batch.dtype).transpose(0, 1)

    @property
    def keys_in_place(self) -> bool:
        """Whether gradients of keys can be added up where they belong at once."""
        return _is_view(self.block_group.keys, self.key_heads)

    def take_rows(self, name: str, batch: Tensor) -> Tensor:
        """Return the group's heads and queries of (batch, heads, queries, ...): (heads, rows, ...).

        It is a view, or scratch memory under `name`.
        """
        return gather(batch[self.block_group.text][self.heads], self.block_group.rows.positions, name)

    def take_keys(self, name: str, batch: Tensor) -> Tensor:
        """Return the group's keys of (batch, key heads, keys, ...), in the same way."""
        return gather(batch[self.block_group.text][self.key_heads], self.block_group.keys.positions, name)

    def put_rows(self, batch: Tensor, values: Tensor) -> None:
        """Write (heads, rows, ...) where `take_rows` took it from."""
        _put(batch[self.block_group.text], self.heads, self.block_group.rows, values, adding=False)

    def add_keys(self, batch: Tensor, values: Tensor) -> None:
        """Add (key heads, keys, ...) to what is where `take_keys` took it from."""
        _put(batch[self.block_group.text], self.key_heads, self.block_group.keys, values, adding=True)

    def bias(self, block: Block, strengths: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """Return a block's bias as floats that broadcast to (stack, heads, queries, keys), None where there is none.

        `strengths` (heads or 1, tags, tags) is the learned table that blocks with a `table_row` look up.
        """
        row = self._table_bias(block, strengths, dtype)
        bias = block.bias() if callable(block.bias) else block.bias
        if bias is None:
            return row
        if bias.dtype == torch.int16:
            bias = self._unpacked(bias)
        elif (bias := self.of_heads(bias, axis=1)).dtype == torch.bool:
            bias = as_bias(bias, scratch("bias", bias.shape, torch.float32))
        return bias.to(dtype) if row is None else row + bias

    def _unpacked(self, bits: Tensor) -> Tensor:
        """Return a mask in bits, see `head_bits`, as what is added to scores: (stack, all heads, queries, keys)."""
        stack, _, queries, keys = bits.shape
        every = scratch("bias", (stack, self.all_heads, queries, keys), torch.float32)
        return additive_mask(bits, self.all_heads, torch.float32, out=every)[:, self.heads]

    def _table_bias(self, block: Block, strengths: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """Return what the learned table adds to a block's scores: (stack, heads or 1, 1, keys)."""
        if block.table_row is None or strengths is None:
            return None
        row = self.of_heads(strengths.detach(), axis=0)[:, block.table_row]
        return row[:, self._key_tags(block)].transpose(0, 1)[:, :, None].to(dtype)

    def _key_tags(self, block: Block) -> Tensor:
        """Return the tags (stack, keys) of the keys of a block that looks up a learned table."""
        assert self.block_group.key_tags is not None  # noqa: S101 - such groups have them
        return self.block_group.key_tags[block.keys].view(block.stack, -1)

    def add_to_table(self, to_table: Tensor, to_bias: Tensor, block: Block) -> None:
        """Add the gradient of a bias row (stack, heads, 1, keys) to that of the table (heads or 1, tags, tags)."""
        if block.table_row is None:
            return
        of_keys = to_bias[:, :, 0].transpose(0, 1).flatten(1)
        by_tag = of_keys.new_zeros(len(of_keys), len(TAGS)).index_add_(1, self._key_tags(block).flatten(), of_keys)
        if len(to_table) > 1:
            to_table[self.heads, block.table_row] += by_tag
        else:
            to_table[0, block.table_row] += by_tag.sum(0)

    def of_heads(self, tensor: Tensor, *, axis: int) -> Tensor:
        """Select the group's heads along an axis that has an entry for all heads, or one for all of them together."""
        if tensor.shape[axis] == 1:
            return tensor
        return tensor[self.heads] if axis == 0 else tensor[:, self.heads]


def head_groups(
    block_groups: Sequence[BlockGroup], query: Tensor, key: Tensor, order: HeadOrder | None, *, drops: bool
) -> Iterator[HeadGroup]:
    """Yield the groups, a few heads at a time, so that copies of what they reorder stay small.

    Keys are never repeated: heads of `query` that share one of `key` come together, or some of them where the group is
    not for all heads. Small copies stay in the processor's cache. Where attention weights are dropped (`drops`), the
    head groups depend on the tensors alone: each block of a group has draws of its own, and the backward pass must find
    the same ones, however many threads it has.
    """
    abreast = _DROPPING if drops else torch.get_num_threads()
    for group in block_groups:
        copied = max(tokens.count * isinstance(tokens.positions, Tensor) for tokens in (group.rows, group.keys))
        one = query.element_size() * query.shape[3] * max(copied, 1)
        for heads, key_heads in few_heads(group, order, query.shape[1], key.shape[1], max(_COPY // one, abreast)):
            yield HeadGroup(group, heads, key_heads, query.shape[1])


def covers_all(block_groups: Sequence[BlockGroup], query: Tensor) -> bool:
    """Tell whether the blocks hold every query (batch, heads, length, head_dim) in every head."""
    batch, heads, length, _ = query.shape
    counts = (
        group.rows.count * (heads if group.heads is None else len(group.heads))
        for group in block_groups
        if not group.accumulates
    )
    return sum(counts) == batch * heads * length


def _is_view(tokens: TokenIndex, heads: slice | Tensor) -> bool:
    return isinstance(tokens.positions, slice) and isinstance(heads, slice)


def _put(text: Tensor, heads: slice | Tensor, tokens: TokenIndex, values: Tensor, *, adding: bool) -> None:
    inside = text[heads]
    if tokens.inverse is not None and tokens.span is not None:
        scatter_permuted(inside, tokens.span, values, tokens.inverse, adding=adding)
    else:
        scatter(inside, tokens.positions, values, adding=adding)
    if isinstance(heads, Tensor):
        text.index_copy_(0, heads, inside)


def results_like(tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor of the same shape, tokens outermost, as models and the fused kernel lay out their results."""
    batch, heads, length, head_dim = tensor.shape
    return tensor.new_empty(batch, length, heads, head_dim, dtype=dtype).transpose(1, 2)


def scratch_like(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return scratch memory of the shape (heads, tokens, head_dim), tokens outermost."""
    heads, tokens, head_dim = tensor.shape
    return scratch(name, (tokens, heads, head_dim), dtype).transpose(0, 1)
