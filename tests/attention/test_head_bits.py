"""Bits of heads stand for the table that they were packed from, for any number of heads and in every dtype."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grammask.attention.blocks.head_bits import EVERY, NONE, additive_mask, bool_mask, numbered_mask, pack_heads
from grammask.attention.blocks.lookup import take_cells


@given(heads=st.integers(1, 64), seed=st.integers(0, 99))
def test_masks_of_bits_are_the_tables_looked_up(heads, seed):
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(heads, 6, generator=generator) < 0.5
    index = torch.randint(6, (2, 3, 5), generator=generator)
    bits = take_cells(pack_heads(table), index)
    wanted = table[:, index].transpose(0, 1)
    assert torch.equal(bool_mask(bits, heads), wanted)
    assert torch.equal(numbered_mask(bits, heads, -0.7), torch.zeros(wanted.shape).masked_fill(wanted, -0.7))
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        mask = additive_mask(bits, heads, dtype)
        assert mask.dtype == dtype
        assert torch.equal(mask, torch.zeros(wanted.shape, dtype=dtype).masked_fill(~wanted, -torch.inf))


@pytest.mark.parametrize("heads", [1, 14, 15, 40])
def test_every_and_none_are_all_heads_and_no_head(heads):
    bits = take_cells(pack_heads(torch.ones(heads, 1, dtype=torch.bool)), torch.zeros(1, 1, 1, dtype=torch.int64))
    assert bool(bool_mask(bits.fill_(EVERY), heads).all())
    assert not bool_mask(bits.fill_(NONE), heads).any()
