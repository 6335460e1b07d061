"""Grammars from the loss: the gradients against a plain computation, the costs against counted pairs, the command."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from helpers.language_models import language_model
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AttentionInterface, AttentionMaskInterface

import grammask
from grammask.errors import InputError, ModelError
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.tables import compile_tables
from grammask.induce.choose_far import choose_far
from grammask.induce.far_costs import FarCosts
from grammask.induce.far_grammar import far_grammar
from grammask.induce.far_reads import FULL, NAMED, NEAR, READS, cells_of
from grammask.induce.head_worth import HeadWorth, LongText, changes, differentiated, head_worth
from grammask.model.token_losses import token_losses

WINDOW, SKIP = 3, 6
NAME_IDS = [grammask.TAGS.index(tag) for tag in ("NUM", "PROPN")]


def long_text(length: int = 30, seed: int = 0) -> LongText:
    """Return random tokens with random parts of speech, some words of two tokens."""
    draw = torch.Generator().manual_seed(seed)
    begins = (torch.rand(length, generator=draw) < 0.8).long()
    begins[0] = 1
    word_ids = begins.cumsum(0) - 1
    tags = torch.randint(17, (length,), generator=draw)[word_ids]
    return LongText(torch.randint(1, 400, (1, length), generator=draw), tags[None], word_ids[None])


def blended_loss(model, text, choice, blends):
    """Return the loss where each head's output goes by `blends` (layers, heads, reads) towards what others would be."""
    cells = cells_of(text.tag_ids[0], text.word_ids[0], WINDOW).long()
    length = len(cells)
    read = READS.bool()[cells].permute(2, 0, 1) & torch.ones(length, length, dtype=torch.bool).tril()

    def attention(module, query, key, value, mask, scaling, **_):
        shared = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
        scores = (query @ key.transpose(2, 3) * scaling)[0, :, None].masked_fill(~read, -math.inf)
        outputs = scores.softmax(-1) @ value[0, :, None]  # (heads, reads, length, head_dim)
        layer = module.layer_idx
        own = outputs[torch.arange(len(outputs)), torch.from_numpy(choice[layer])]
        output = own + ((outputs - own[:, None]) * blends[layer][..., None, None]).sum(1)
        return output.transpose(0, 1)[None], None

    AttentionInterface.register("blended", attention)
    AttentionMaskInterface.register("blended", lambda **_: None)
    model.set_attn_implementation("blended")
    logits = model(text.input_ids, use_cache=False).logits[0, SKIP:-1]
    names = torch.isin(
        text.tag_ids[0, SKIP + 1 :], torch.tensor([grammask.TAGS.index(tag) for tag in ("NUM", "PROPN")])
    )
    counts = torch.where(names, 3.0, 1.0)
    losses = torch.nn.functional.cross_entropy(logits, text.input_ids[0, SKIP + 1 :], reduction="none")
    return (losses * counts).sum() / counts.sum()


@pytest.mark.parametrize("seed", range(3))
def test_changes_are_the_gradient_to_a_blend_of_outputs(seed):
    model, text = language_model("llama"), long_text(seed=seed)
    shape = model.config.num_hidden_layers, model.config.num_attention_heads
    choice = np.random.default_rng(seed).integers(3, size=shape)
    blends = torch.zeros(*shape, 3, requires_grad=True)
    loss = blended_loss(model, text, choice, blends)
    (expected,) = torch.autograd.grad(loss, blends)
    with_reads = head_worth_of_one(model, text, choice)
    assert np.allclose(with_reads, expected.numpy(), atol=1e-5)
    assert np.abs(with_reads).max() > 1e-3


def head_worth_of_one(model, text, choice):
    with differentiated(model):
        return changes(model, text, choice, window=WINDOW, skip=SKIP)


def test_worth_is_the_mean_of_two_states_and_leaves_the_model_as_it_was():
    model, texts = language_model("llama"), [long_text(seed=1), long_text(40, seed=2)]
    before = model.config._attn_implementation
    shape = model.config.num_hidden_layers, model.config.num_attention_heads
    steps = []
    worth = head_worth(model, texts, window=WINDOW, skip=SKIP, progress=steps.append)
    found = np.mean(
        [head_worth_of_one(model, text, np.full(shape, reads)) for text, reads in product(texts, (FULL, NAMED))],
        axis=0,
    )
    assert np.allclose(worth.full, found[..., NEAR] - found[..., FULL])
    assert np.allclose(worth.names, found[..., NEAR] - found[..., NAMED])
    assert len(steps) == 4
    assert model.config._attn_implementation == before
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_choice_reads_as_its_grammar_does():
    """The attention that is differentiated and the shipped grammar are one and the same."""
    model, text = language_model("llama"), long_text(40, seed=3)
    shape = model.config.num_hidden_layers, model.config.num_attention_heads
    choice = np.random.default_rng(4).integers(3, size=shape)
    blends = torch.zeros(*shape, 3)
    with torch.no_grad():
        expected = float(blended_loss(model, text, choice, blends))
    model.set_attn_implementation("sdpa")
    with grammask.attached(model, far_grammar(choice, WINDOW, name="found")):
        inputs = {"input_ids": text.input_ids, "tag_ids": text.tag_ids, "word_ids": text.word_ids}
        losses = token_losses(model, inputs, SKIP + 1)
    names = np.isin(text.tag_ids[0, SKIP + 1 :].numpy(), NAME_IDS)
    counts = np.where(names, 3.0, 1.0)
    assert (losses * counts).sum() / counts.sum() == pytest.approx(expected, abs=1e-5)


def test_models_with_windows_of_their_own_and_short_texts_are_refused():
    with pytest.raises(ModelError, match="own mask is another one"):
        head_worth(language_model("mistral"), [long_text()], window=3, skip=6, progress=lambda _: None)
    with pytest.raises(InputError, match="text 1 has 6 tokens"):
        head_worth(language_model("llama"), [long_text(6)], window=3, skip=6, progress=lambda _: None)


def test_the_heads_that_gain_most_read_most():
    full = np.array([[0.3, 0.1, -0.2], [0.2, 0.05, 0.0]])
    names = np.array([[0.9, 0.0, 0.1], [0.8, 0.3, 0.2]])
    choice = choose_far(HeadWorth(names, full), full=2, named=2)
    assert choice.tolist() == [[FULL, NEAR, NEAR], [FULL, NAMED, NAMED]]
    with pytest.raises(InputError, match="more than the model's 6 heads"):
        choose_far(HeadWorth(names, full), full=4, named=3)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 50), st.lists(st.integers(0, 2), min_size=4, max_size=4), st.data())
def test_costs_are_those_of_the_grammar(words, window, reads, data):
    """Counted on a text whose names stand evenly, so that their share is the same at every distance."""
    named = data.draw(st.booleans())
    tags = torch.full((1, words), grammask.TAGS.index("PROPN" if named else "VERB"))
    choice = np.array(reads).reshape(1, 4)
    grammar = far_grammar(choice, window, name="found")
    tables = compile_tables(grammask.Grammar("found", grammar.rules), heads=4)  # without sinks
    allowed = allowed_pairs(tables, tag_ids=tags, word_ids=torch.arange(words)[None])[0].tril()
    pairs = words * (words + 1) / 2
    costs = FarCosts(words, float(named))
    assert costs.pairs(choice, window) == pytest.approx(float(allowed.sum()) / len(allowed) / pairs)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(2, 3_000), st.floats(0, 0.3), st.floats(0.001, 1.0), st.lists(st.integers(0, 2), min_size=6, max_size=6)
)
def test_the_longest_window_meets_the_budget(words, names, budget, reads):
    costs, choice = FarCosts(words, names), np.array(reads).reshape(1, 6)
    window = costs.longest_window(choice, budget)
    if window is None:
        assert costs.pairs(choice, 1) > budget
        return
    assert costs.pairs(choice, window) <= budget
    assert window == words or costs.pairs(choice, window + 1) > budget


def test_a_cache_keeps_what_any_head_of_a_key_head_reads():
    costs = FarCosts(100, 0.1)
    choice = np.array([[NEAR, NAMED, NEAR, NEAR, FULL, NEAR]])
    assert costs.keys(choice, 20, 3) == pytest.approx((0.2 + 0.8 * 0.1 + 0.2 + 1.0) / 3)


@pytest.mark.parametrize("name", ["smollm2-far", "smollm2-heads"])
def test_shipped_grammars_fit_smollm2_and_generation(name):
    grammar = grammask.load_grammar(name)
    grammar.check_fits(layers=30, heads=9)
    assert grammar.sink_tokens == 4
    assert {rule.reach.kind for rule in grammar.rules} == {"document", "words"}
