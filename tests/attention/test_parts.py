"""Masks that tell heads apart are made in parts, which change no value and no gradient, and are let go."""

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEADS, compare, draw
from helpers.batches import random_batch

import grammask
from grammask.attention import dense_attention as dense
from grammask.attention import parts
from grammask.attention.calibration.made_up import unmade
from grammask.attention.parts import WHOLE, parts_of
from grammask.attention.position_mask import FREE

OF_HEADS = ["a band for each head", "a table for each head"]
LENGTHS = (40, 17, 33)


@pytest.fixture(params=[1, HEADS * 40 * 7, HEADS * 40 * 40, HEADS * 40 * 40 * 2])
def small_parts(request, monkeypatch):
    """One row at a time, seven rows, one text, or two texts."""
    monkeypatch.setattr(parts, "MOST_CELLS", request.param)
    monkeypatch.setattr(parts, "_FEWEST_ROWS", 1)


@pytest.mark.parametrize("held", [0, 1 << 28])
@pytest.mark.parametrize("name", OF_HEADS)
@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_parts_agree_with_the_oracle(small_parts, monkeypatch, held, name, strategy):
    monkeypatch.setattr(dense, "_HELD", held)
    batch = random_batch(LENGTHS)
    compare(GRAMMARS[name], strategy, batch, "dense")
    compare(GRAMMARS[name], strategy, batch, "dense", dtype=torch.bfloat16, atol=3e-2, to_grad=6e-2)


@pytest.mark.parametrize("shape", [(3, 1, 1, 40), (3, 1, 40, 40), (1, HEADS, 40, 40)])
@pytest.mark.parametrize("kind", ["bool", "additive"])
def test_parts_take_their_part_of_the_models_mask(small_parts, shape, kind):
    batch = random_batch(LENGTHS)
    plan = grammask.make_plan(GRAMMARS[OF_HEADS[0]], **batch.annotation, heads=HEADS,
                              attention_mask=batch.inputs["attention_mask"])  # fmt: skip
    own = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.7
    own = own if kind == "bool" else torch.zeros(shape).masked_fill(~own, torch.finfo(torch.float32).min)
    query, key, value, _ = draw(batch, dtype=torch.float32)
    found = dense.dense_attention(query, key, value, plan, 0, own, FREE, scale=0.3, dropout=0.0)
    mask = plan.mask(0, own, torch.float32)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3)
    torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        assert torch.equal(dense.dense_attention(query, key, value, plan, 0, own, FREE, scale=0.3, dropout=0.0), found)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 40), (32, 128), (1, 8192), (5, 700)])
def test_parts_cover_every_query_once_and_none_is_large(batch, length):
    cells = batch * 12 * length**2
    found = parts_of(cells, batch, length)
    times = torch.zeros(batch, length, dtype=torch.int64)
    for part in found:
        times[part.texts, part.rows] += 1
        assert times[part.texts, part.rows].numel() * 12 * length <= max(parts.MOST_CELLS, 64 * 12 * length)
    assert bool((times == 1).all())
    assert (found == [WHOLE]) == (cells <= parts.MOST_CELLS)


def test_only_masks_that_other_calls_share_are_kept(monkeypatch):
    batch = random_batch(LENGTHS)
    by_layer = grammask.Grammar(
        "layers", tuple(grammask.Rule(("NOUN",), ("VERB",), layers=(n,), heads=(n,)) for n in range(2))
    )

    def plan_of(grammar):
        return grammask.make_plan(grammar, **batch.annotation, heads=HEADS, layers=2,
                                  attention_mask=batch.inputs["attention_mask"])  # fmt: skip

    for plan, kept in (
        (plan_of(by_layer), 2),
        (unmade(plan_of(by_layer)), 0),
        (unmade(plan_of(GRAMMARS[OF_HEADS[0]])), 1),
    ):
        masks = [plan.mask(layer, None, torch.float32) for layer in range(2)]
        assert len(plan._masks) == kept
        assert all(torch.equal(mask, plan.mask(layer, None, torch.float32)) for layer, mask in enumerate(masks))
    monkeypatch.setattr(parts, "MOST_CELLS", 1)
    plan = plan_of(GRAMMARS[OF_HEADS[0]])
    plan.mask(0, None, torch.float32)
    assert not plan._masks
