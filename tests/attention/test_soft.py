"""Soft attention reads every pair once, and takes no bias along where there is none."""

import pytest
import torch
from helpers.attention_calls import HEADS, compare, draw, fitting_backends
from helpers.batches import random_batch
from torch.nn import functional as F

import grammask

NEUTRAL = ("mixed", "english", "minilm-offsets", "names-far")


@pytest.mark.parametrize("name", NEUTRAL)
@pytest.mark.parametrize("lengths", [(33,), (40, 17)], ids=str)
def test_rules_without_a_strength_leave_the_stock_attention(name, lengths):
    batch = random_batch(lengths)
    tensors = draw(batch, heads=12)[:3]
    mask = batch.inputs["attention_mask"]
    wanted = F.scaled_dot_product_attention(*tensors, attn_mask=mask[:, None, None].bool())
    for backend in fitting_backends(grammask.load_grammar(name), "soft", heads=12):
        found = grammask.grammar_attention(
            *tensors, **batch.annotation, grammar=name, strategy="soft", attention_mask=mask, backend=backend
        )
        torch.testing.assert_close((found - wanted) * mask[:, None, :, None], torch.zeros_like(found))


@pytest.mark.parametrize("name", [*NEUTRAL, "paper"])
@pytest.mark.parametrize(("lengths", "shape"), [((64,), None), ((64, 50), (2, 1, 1, 64))], ids=str)
def test_a_mask_is_no_larger_than_what_it_says(name, lengths, shape, monkeypatch):
    seen = []

    def attention(query, key, value, attn_mask=None, **options):
        seen.append(None if attn_mask is None else attn_mask.shape)
        return stock(query, key, value, attn_mask=attn_mask, **options)

    stock = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", attention)
    batch = random_batch(lengths)
    grammask.grammar_attention(
        *draw(batch, heads=12)[:3], **batch.annotation, grammar=name, strategy="soft", backend="dense",
        attention_mask=batch.inputs["attention_mask"],
    )  # fmt: skip
    assert seen == [(len(lengths), 1, 64, 64) if name == "paper" else shape]


@pytest.mark.parametrize(("length", "joined"), [(40, True), (600, True), (3000, False)])
def test_few_queries_share_a_small_bias(length, joined):
    batch = random_batch((length,))
    (group,) = grammask.make_plan("paper", **batch.annotation, strategy="soft", heads=HEADS).block_groups(0)
    written = [block.bias for block in group.blocks if block.bias is not None and block.bias.shape[2] > 1]
    assert len(written) == joined
    assert sum(bias.numel() for bias in written) <= 1 << 18
    assert sum(block.pairs for block in group.blocks) == length**2
    if joined:
        compare(grammask.load_grammar("paper"), "soft", batch, "biased")


def test_dispatch_says_that_nothing_is_added():
    plan = grammask.make_plan("mixed", **random_batch((3000,)).annotation, strategy="soft", heads=12)
    choice = grammask.explain_dispatch(plan, heads=12, head_dim=32)
    assert choice.backend == "dense"
    assert "no rule has a strength" in choice.reason
    assert grammask.explain_dispatch(plan, heads=12, head_dim=32, causal=True).backend == "biased"
