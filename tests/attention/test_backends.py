"""Every backend equals the oracle: values and gradients, hard and soft, ragged batches, train and eval, each dtype."""

import pytest
import torch
from helpers.attention_calls import BAND, GRAMMARS, HEADS, compare, draw, fitting_backends, oracle_mask
from helpers.batches import random_batch, with_new_words
from helpers.strategies import drawn_calls, grammars
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

import grammask
from grammask.attention import head_groups
from grammask.attention.blocks import banded, biased
from grammask.attention.reference import reference_attention
from grammask.errors import GrammarError, InputError
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Rule
from grammask.grammar.tags import NAMED, NEW, PAD, UPOS


@settings(max_examples=120)
@given(*drawn_calls)
def test_backends_equal_the_oracle_on_drawn_grammars(grammar, lengths, seed, layer, strategy):
    batch = random_batch(lengths, seed=seed)
    compare(grammar, strategy, batch, *fitting_backends(grammar, strategy, layer=layer), layer=layer)


@settings(max_examples=60)
@given(
    grammars,
    st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple),
    st.integers(0, 10_000),
    st.sampled_from([0.3, 1.0]),
    st.sampled_from(["hard", "soft"]),
)
def test_backends_equal_the_oracle_where_words_are_being_generated(grammar, lengths, seed, share, strategy):
    batch = with_new_words(random_batch(lengths, seed=seed), share, seed=seed)
    compare(grammar, strategy, batch, *fitting_backends(grammar, strategy))


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("lengths", [(1,), (2, 1, 65), (700, 129), (513,)], ids=str)
def test_backends_equal_the_oracle_at_every_length(name, strategy, lengths):
    grammar = GRAMMARS[name]
    compare(grammar, strategy, random_batch(lengths), *fitting_backends(grammar, strategy)[2:])


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_few_heads_and_queries_at_a_time_change_nothing(name, strategy, monkeypatch):
    monkeypatch.setattr(head_groups, "_COPY", 1)
    monkeypatch.setattr(banded, "_sizes", lambda *_: (16, 2))
    monkeypatch.setattr(biased, "TILE", 16)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    compare(GRAMMARS[name], strategy, random_batch((90, 41)), *fitting_backends(GRAMMARS[name], strategy)[2:])


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize(
    ("dtype", "atol", "to_grad"), [(torch.float32, 2e-5, 1e-4), (torch.bfloat16, 3e-2, 6e-2)], ids=str
)
def test_dtypes_are_exact_to_their_own_rounding(name, strategy, dtype, atol, to_grad):
    backends = fitting_backends(GRAMMARS[name], strategy)[2:]
    compare(GRAMMARS[name], strategy, random_batch((300, 77)), *backends, dtype=dtype, atol=atol, to_grad=to_grad)


@settings(max_examples=60)
@given(
    grammars,
    st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple),
    st.integers(0, 10_000),
    st.sampled_from([(6, 1), (6, 2), (6, 3), (4, 4)]),
    st.sampled_from(["hard", "soft"]),
)
def test_keys_of_fewer_heads_are_those_of_each_query_that_shares_them(grammar, lengths, seed, heads, strategy):
    batch = random_batch(lengths, seed=seed)
    backends = fitting_backends(grammar, strategy, heads=heads[0])
    compare(grammar, strategy, batch, *backends, heads=heads[0], key_heads=heads[1])


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize(
    ("dtype", "atol", "to_grad"), [(torch.float32, 2e-5, 1e-4), (torch.bfloat16, 3e-2, 9e-2)], ids=str
)
def test_keys_of_fewer_heads_in_each_dtype(name, strategy, dtype, atol, to_grad, monkeypatch):
    backends = fitting_backends(GRAMMARS[name], strategy, heads=6)[2:]
    for copied in (1 << 22, 1):  # all heads that share keys at once, then one at a time
        monkeypatch.setattr(head_groups, "_COPY", copied)
        compare(
            GRAMMARS[name], strategy, random_batch((150, 77)), *backends, dtype=dtype, atol=atol, to_grad=to_grad,
            heads=6, key_heads=2,
        )  # fmt: skip


def test_padding_may_stand_anywhere():
    batch = random_batch((40, 23))
    # The second text: five tokens, ten of padding, its other tokens, the rest of the padding.
    order = torch.cat([torch.arange(5), torch.arange(23, 33), torch.arange(5, 23), torch.arange(33, 40)])
    moved = {name: torch.stack([ids[0], ids[1][order]]) for name, ids in batch.annotation.items()}
    batch.annotation, batch.inputs["attention_mask"] = moved, (moved["tag_ids"] != PAD).long()
    for grammar in GRAMMARS.values():
        for strategy in ("hard", "soft"):
            compare(grammar, strategy, batch, *fitting_backends(grammar, strategy)[2:])


@pytest.mark.parametrize("name", GRAMMARS)
def test_contiguous_and_strided_inputs_give_the_same(name):
    batch = random_batch((70, 50))
    query, key, value, _ = (tensor.detach() for tensor in draw(batch))
    options = {**batch.annotation, "grammar": GRAMMARS[name], "attention_mask": batch.inputs["attention_mask"]}
    backend = fitting_backends(GRAMMARS[name], "hard")[2]
    found = grammask.grammar_attention(query, key, value, **options, backend=backend)
    spread = torch.randn(*query.shape, 2, dtype=query.dtype)
    spread[..., 0] = query
    other = grammask.grammar_attention(spread[..., 0], key.contiguous(), value, **options, backend=backend)
    torch.testing.assert_close(found, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize("key_heads", [HEADS, 1])
@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_dropout_drops_weights_and_its_gradients_are_exact(name, strategy, key_heads):
    """With the identity as values the output is the dropped weights; the same seed drops the same ones again."""
    length, share = 64, 0.3
    batch = random_batch((length, length), seed=3)
    query, key, value, weight = draw(batch, head_dim=length, key_heads=key_heads)
    grammar = GRAMMARS[name]
    options = {**batch.annotation, "grammar": grammar, "strategy": strategy, "dropout": share}
    backend = fitting_backends(grammar, strategy)[2]
    eye = torch.eye(length, dtype=torch.float64).expand(2, key_heads, -1, -1)
    torch.manual_seed(5)
    dropped = grammask.grammar_attention(query.detach(), key.detach(), eye, **options, backend=backend)
    torch.manual_seed(5)
    found = grammask.grammar_attention(query, key, value, **options, backend=backend)
    exact = [tensor.detach().requires_grad_() for tensor in (query, key, value)]
    mask = oracle_mask(grammar, strategy, batch)
    repeated = [tensor.expand(-1, HEADS, -1, -1) for tensor in (exact[1], exact[2], eye)]
    _, weights = reference_attention(exact[0], repeated[0], repeated[2], mask, scale=length**-0.5)
    keep = (dropped / weights.detach()).nan_to_num()
    lightly = keep[weights > 1e-4]
    assert abs((lightly < 1e-3).double().mean() - share) < 0.05
    assert abs(lightly.mean() - 1) < 0.05
    expected = (weights * keep) @ repeated[1]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    grads = torch.autograd.grad((found * weight).sum(), (query, key, value))
    wanted = torch.autograd.grad((expected * weight).sum(), exact)
    for grad, wish in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, wish, atol=1e-5, rtol=0)
    torch.manual_seed(6)
    assert not torch.equal(grammask.grammar_attention(query, key, value, **options, backend=backend), found)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_recomputed_pass_gives_the_same_gradients(dropout):
    batch = random_batch((80, 33))

    def attention(query, key, value):
        return grammask.grammar_attention(
            query, key, value, **batch.annotation, grammar=GRAMMARS["mixed"], dropout=dropout, backend="mixed",
            attention_mask=batch.inputs["attention_mask"],
        )  # fmt: skip

    def gradients(call):
        query, key, value, weight = draw(batch)
        torch.manual_seed(0)
        return torch.autograd.grad((call(query, key, value) * weight).sum(), (query, key, value))

    plain = gradients(attention)
    again = gradients(lambda *inputs: checkpoint(attention, *inputs, use_reentrant=False))
    for grad, wish in zip(again, plain, strict=True):
        assert torch.equal(grad, wish)


def test_a_plan_is_shared_between_calls_and_refused_for_others():
    batch = random_batch((30, 12))
    query, key, value, _ = draw(batch)
    grammar = grammask.load_grammar("paper")
    mask = batch.inputs["attention_mask"]
    plan = grammask.make_plan(grammar, **batch.annotation, attention_mask=mask, heads=HEADS)
    assert plan.block_groups(0) is plan.block_groups(0)
    options = {**batch.annotation, "attention_mask": mask, "backend": "sorted"}
    found = grammask.grammar_attention(query, key, value, **options, grammar=grammar, plan=plan)
    assert torch.equal(found, grammask.grammar_attention(query, key, value, **options, grammar=grammar))
    with pytest.raises(InputError, match="the plan is for grammar 'paper', hard"):
        grammask.grammar_attention(query, key, value, **options, grammar="paper-sinks", plan=plan)
    other = {**options, "tag_ids": options["tag_ids"].clone()}
    other["tag_ids"][0, 3] = (other["tag_ids"][0, 3] + 1) % 17
    with pytest.raises(InputError, match="another batch"):
        grammask.grammar_attention(query, key, value, **other, grammar=grammar, plan=plan)


def test_no_plan_is_as_large_as_all_pairs():
    batch = random_batch((3000,))
    for name, grammar in GRAMMARS.items():
        for strategy in ("hard", "soft"):
            plan = grammask.make_plan(grammar, **batch.annotation, strategy=strategy, heads=HEADS)
            held = (
                tensor
                for group in plan.block_groups(0)
                for block in group.blocks
                for tensor in (block.bias, block.keys, block.empty)
            )
            kept = sum(tensor.numel() for tensor in held if isinstance(tensor, torch.Tensor))
            assert kept < 3000 * 200 * HEADS, (name, strategy)


def test_backends_obey_or_refuse():
    batch = random_batch((20,))
    query, key, value, _ = draw(batch)

    def call(backend, grammar, strategy="hard", **changes):
        options = {**batch.annotation, "grammar": grammar, "strategy": strategy, "backend": backend, **changes}
        return grammask.grammar_attention(query, key, value, **options)

    with pytest.raises(GrammarError, match="unknown backend 'fast'; backends are: auto, dense"):
        call("fast", "paper")
    with pytest.raises(
        GrammarError, match=r"'banded' cannot do grammar 'paper'.*document reach; use backend=\"sorted\""
    ):
        call("banded", "paper")
    with pytest.raises(GrammarError, match=r"'sorted' cannot do grammar 'band'"):
        call("sorted", BAND)
    with pytest.raises(GrammarError, match=r"'sorted' cannot do grammar 'paper'.*the strategy is soft"):
        call("sorted", "paper", "soft")
    with pytest.raises(GrammarError, match="'full' has no backend 'sorted'"):
        call("sorted", "paper", "full")
    backwards = {"word_ids": batch.annotation["word_ids"].flip(1).contiguous()}
    with pytest.raises(InputError, match="word_ids decrease within text 0; bounded rules need reading order"):
        call("banded", BAND, **backwards)
    torch.testing.assert_close(call("auto", BAND, **backwards), call("dense", BAND, **backwards))


def test_dispatch_says_what_it_chose_and_why():
    def choice(length, grammar, strategy="hard", **options):
        annotation = random_batch((length,)).annotation
        plan = grammask.make_plan(grammar, **annotation, strategy=strategy, heads=12)
        return grammask.explain_dispatch(plan, heads=12, head_dim=64, **options)

    assert choice(16, "paper").backend == "dense"
    assert "too few" in choice(16, "paper").reason
    assert choice(2048, "paper").backend == "sorted"
    assert choice(2048, "neighbours").backend == "banded"
    assert choice(2048, "neighbours", backend="dense").reason == "asked for"
    chosen = choice(2048, GRAMMARS["mixed"])
    assert chosen.backend == "mixed"
    assert chosen.sparse_ms < chosen.dense_ms
    assert str(chosen).startswith("mixed: cheaper than dense (estimates a layer: dense ")
    assert choice(2048, "paper", "full").backend == "dense"
    everything = Grammar("all", rules=(Rule(NAMED, NAMED),))
    assert choice(1024, everything, device="mps").reason.endswith("runs on cpu only, but the tensors are on mps")


def test_words_are_tokens_where_none_are_given():
    batch = with_new_words(random_batch((30,)))
    tags = batch.annotation["tag_ids"]
    query, key, value, _ = draw(batch)
    word = (tags < len(UPOS)) | (tags == NEW)
    numbers = (word.cumsum(1) - 1).masked_fill(~word, -1)
    found = grammask.grammar_attention(query, key, value, tag_ids=tags, grammar=BAND)
    wanted = grammask.grammar_attention(query, key, value, tag_ids=tags, word_ids=numbers, grammar=BAND)
    assert torch.equal(found, wanted)
