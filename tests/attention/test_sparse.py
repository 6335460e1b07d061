"""Blocks made by hand: queries and keys of different lengths, shared heads, masks and learned strengths together."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grammask.attention.blocks.block import ALL, Block, BlockGroup, TokenIndex, find_empty
from grammask.attention.reference import reference_attention
from grammask.attention.sparse import sparse_attention
from grammask.grammar.tags import TAGS

BATCH, HEAD_DIM = 2, 8


class Blocks:
    """Groups of drawn blocks, and the dense bias (batch, heads, queries, keys) that they stand for."""

    def __init__(self, queries, keys, heads, seed, *, learned):
        self.draw = torch.Generator().manual_seed(seed)
        self.learned = learned
        self.strengths = torch.randn(heads, len(TAGS), len(TAGS), generator=self.draw, dtype=torch.float64)
        self.strengths.requires_grad_(learned)
        self.bias = torch.full((BATCH, heads, queries, keys), -torch.inf, dtype=torch.float64)
        self.groups = []
        for text in range(BATCH):
            middle = int(torch.randint(1, keys, (), generator=self.draw)) if keys > 1 else 1
            for first, last in ((0, middle), (middle, keys))[: 1 + (keys > 1)]:
                order = torch.randperm(last - first, generator=self.draw) + first
                rows = torch.randperm(queries, generator=self.draw)
                for some in (None,) if heads == 1 or first else (torch.arange(heads)[::2], torch.arange(heads)[1::2]):
                    self._add(text, rows, order, some, accumulates=first > 0)

    def _add(self, text, rows, keys, heads, *, accumulates):
        tags = torch.randint(len(TAGS), keys.shape, generator=self.draw)
        chosen = torch.arange(self.bias.shape[1]) if heads is None else heads
        blocks, step = [], 3
        for start in range(0, len(rows), step):
            here = slice(start, min(start + step, len(rows)))
            inside = slice(0, int(torch.randint(1, len(keys) + 1, (), generator=self.draw)))
            count = inside.stop
            masks = 1 if heads is not None else int(torch.randint(2, (), generator=self.draw)) * (len(chosen) - 1) + 1
            mask = torch.rand(1, masks, here.stop - start, count, generator=self.draw) > 0.4
            row = start % len(TAGS) if self.learned else None
            block = Block(
                rows=here, keys=inside, pairs=0, bias=mask if start % 2 else lambda mask=mask: mask,
                empty=find_empty(mask), table_row=row,
            )  # fmt: skip
            blocks.append(block)
            floats = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -torch.inf)[0]
            floats = floats.expand(len(chosen), -1, -1)
            if row is not None:
                floats = floats + self.strengths[chosen, row][:, None, tags[inside]]
            at = chosen[:, None, None], rows[here][None, :, None], keys[inside][None, None, :]
            self.bias = self.bias.index_put((torch.tensor(text), *at), floats)
        self.groups.append(
            BlockGroup(
                text=text, rows=TokenIndex.of(rows.numpy()), keys=TokenIndex.of(keys.numpy()), blocks=tuple(blocks),
                heads=heads, key_tags=tags if self.learned else None, accumulates=accumulates,
            )
        )  # fmt: skip


def draw(queries, keys, heads, key_heads, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(BATCH, count, some, HEAD_DIM, generator=generator, dtype=torch.float64)
        .transpose(1, 2).to(dtype).requires_grad_()
        for count, some in ((queries, heads), (keys, key_heads), (keys, key_heads), (queries, heads))
    ]  # fmt: skip


def compare(groups, bias, strengths, inputs, *, atol=1e-6):
    """Compare values and gradients; the last of `inputs` weighs the outputs."""
    query, key, value, weight = inputs
    found = sparse_attention(query, key, value, groups, scale=0.3, strengths=strengths)
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs[:3]]
    shared = [tensor.repeat_interleave(query.shape[1] // tensor.shape[1], 1) for tensor in exact]
    expected, _ = reference_attention(*shared, bias, scale=0.3)
    torch.testing.assert_close(found.double(), expected, atol=atol, rtol=0)
    table = () if strengths is None else (strengths,)
    grads = torch.autograd.grad((found * weight).sum(), (query, key, value, *table))
    wanted = torch.autograd.grad((expected * weight.detach().double()).sum(), (*exact, *table))
    for grad, wish in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad.double(), wish.double(), atol=2 * atol, rtol=0)


@settings(max_examples=60)
@given(
    st.integers(1, 20),
    st.integers(0, 20),
    st.sampled_from([(1, 1), (4, 4), (4, 2), (4, 1)]),
    st.integers(0, 10_000),
    st.booleans(),
)
def test_queries_at_the_end_of_longer_keys_equal_the_oracle(queries, more, heads, seed, learned):
    drawn = Blocks(queries, queries + more, heads[0], seed, learned=learned)
    strengths = drawn.strengths if learned else None
    compare(drawn.groups, drawn.bias, strengths, draw(queries, queries + more, *heads))


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-5), (torch.bfloat16, 6e-2)], ids=str)
@pytest.mark.parametrize("learned", [False, True])
def test_longer_keys_in_each_dtype(dtype, atol, learned):
    drawn = Blocks(7, 30, 4, 1, learned=learned)
    compare(drawn.groups, drawn.bias, drawn.strengths if learned else None, draw(7, 30, 4, 2, dtype), atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("learned", [False, True])
def test_a_stack_may_share_one_bias(dtype, learned):
    """Three chunks of four queries, the last short, each over its own six of eighteen keys, under one expanded mask."""
    queries, keys, heads = 11, 18, 4
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(2)) > 0.4
    mask[:, 0] = True
    one = torch.zeros(4, 6).masked_fill(~mask, -torch.inf)
    strengths = torch.randn(heads, len(TAGS), len(TAGS), dtype=torch.float64).to(dtype).requires_grad_()
    tags = torch.arange(keys) % len(TAGS)
    block = Block(
        rows=slice(0, queries), keys=ALL, pairs=0, stack=3, chunk=4, bias=one.expand(3, 1, 4, 6),
        table_row=5 if learned else None,
    )  # fmt: skip
    groups = [
        BlockGroup(
            text=text, rows=TokenIndex(slice(0, queries)), keys=TokenIndex(slice(0, keys)), blocks=(block,),
            key_tags=tags if learned else None,
        )
        for text in range(BATCH)
    ]  # fmt: skip
    bias = torch.full((12, keys), -torch.inf, dtype=torch.float64)
    for chunk in range(3):
        bias[4 * chunk : 4 * chunk + 4, 6 * chunk : 6 * chunk + 6] = one.double()
    dense = bias[:queries].expand(BATCH, heads, -1, -1)
    if learned:
        dense = dense + strengths.double()[:, 5, tags][:, None]
    compare(groups, dense, strengths if learned else None, draw(queries, keys, heads, 2, dtype), atol=2e-5)
