"""Heads with equal tables: they share blocks, which are made once for all layers, and are read as the oracle says."""

import pytest
import torch
from helpers.attention_calls import WORDS, compare, fitting_backends, short_chunks
from helpers.batches import random_batch
from hypothesis import given, settings
from hypothesis import strategies as st

import grammask
from grammask.attention.position_mask import FREE, PositionMask
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule

CAUSAL = PositionMask(causal=True)
READS = {
    "near": (Reach("words", -2, 0), WORDS),
    "wide": (Reach("words", -5, 0), WORDS),
    "names": (Reach("document"), ("PROPN", "NUM")),
    "everything": (Reach("document"), WORDS),
}


def roles(*layers, sinks=2):
    """Return the grammar whose heads read these kinds of things, several of each joined by +, layer by layer."""
    rules = [
        Rule(WORDS, READS[kind][1], READS[kind][0], layers=(layer,), heads=(head,))
        for layer, heads in enumerate(layers)
        for head, kinds in enumerate(heads)
        for kind in kinds.split("+")
    ]
    return Grammar("roles", rules=tuple(rules), sinks=("[CLS]", "[SEP]"), sink_tokens=sinks)


MIXED = ("near", "wide+names", "near", "wide+names", "everything", "near")


@pytest.mark.parametrize("position", [FREE, CAUSAL, PositionMask(causal=True, window=(4, 0))], ids=str)
@pytest.mark.parametrize("key_heads", [6, 3, 2, 1])
def test_heads_of_one_table_read_as_the_oracle_says(key_heads, position, monkeypatch):
    batch = random_batch((23, 9, 1))
    for chunk in (None, 3):
        if chunk:
            short_chunks(monkeypatch, chunk, views=True)
        compare(roles(MIXED), "hard", batch, "mixed", heads=6, key_heads=key_heads, position=position)


@settings(max_examples=25, deadline=None)
@given(
    heads=st.lists(st.sampled_from(["near", "wide", "wide+names", "everything"]), min_size=6, max_size=6),
    key_heads=st.sampled_from([6, 3, 1]),
    causal=st.booleans(),
    sinks=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_any_heads_read_as_the_oracle_says(heads, key_heads, causal, sinks, seed):
    with pytest.MonkeyPatch.context() as patch:
        short_chunks(patch, 4, views=True)
        grammar, batch = roles(heads, sinks=sinks), random_batch((19, 6), seed=seed)
        backend = fitting_backends(grammar, "hard", heads=6)[-1]
        position = CAUSAL if causal else FREE
        compare(grammar, "hard", batch, backend, heads=6, key_heads=key_heads, position=position)


def test_blocks_are_made_once_for_all_layers():
    batch = random_batch((40,))
    grammar = roles(MIXED, MIXED[::-1])
    plan = grammask.make_plan(grammar, **batch.annotation, layers=2, heads=6)
    first, second = (plan.block_groups(layer, CAUSAL) for layer in range(2))
    assert first is not second
    made = {id(group.blocks) for group in (*first, *second)}
    assert len(made) == len(first) == len(second)
    heads = [sorted(group.heads.tolist()) for group in second if not group.accumulates]
    assert sorted(head for some in heads for head in some) == [*range(6)]


def test_near_heads_pay_for_near_words_alone():
    batch = random_batch((200,))

    def pairs(grammar):
        plan = grammask.make_plan(grammar, **batch.annotation, layers=1, heads=6)
        groups = plan.block_groups(0, CAUSAL)
        return sum(
            (6 if group.heads is None else len(group.heads)) * sum(block.pairs for block in group.blocks)
            for group in groups
        )

    apart = pairs(roles(("near",) * 5 + ("everything",)))
    assert apart < pairs(roles(("near",) * 6)) + pairs(roles(("everything",) * 6)) / 5


def test_dropped_weights_are_the_same_when_recomputed():
    batch = random_batch((30, 12))
    query, key, value = (torch.randn(2, heads, 30, 8).requires_grad_() for heads in (6, 3, 3))

    def call(*tensors):
        return grammask.grammar_attention(
            *tensors, **batch.annotation, attention_mask=batch.inputs["attention_mask"], grammar=roles(MIXED),
            dropout=0.5, causal=True, backend="mixed",
        )  # fmt: skip

    plain = call(query, key, value)
    torch.manual_seed(1)
    once = call(query, key, value)
    torch.manual_seed(1)
    again = torch.utils.checkpoint.checkpoint(call, query, key, value, use_reentrant=False)
    assert not torch.equal(plain, once)
    assert torch.equal(once, again)
    grads = [torch.autograd.grad(output.sum(), (query, key, value)) for output in (once, again)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)
