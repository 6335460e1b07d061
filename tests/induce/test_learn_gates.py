"""Heads that learn what to read: gated passes against grammars and a dense softmax, and what descent chooses."""

import numpy as np
import pytest
import torch
from helpers.language_models import language_model
from helpers.long_texts import long_text
from helpers.other_device import other_device

import grammask
from grammask.errors import InputError, ModelError
from grammask.grammar.grammar import Grammar
from grammask.induce import learn_gates as module
from grammask.induce.far_costs import FarCosts
from grammask.induce.far_grammar import far_grammar
from grammask.induce.far_loss import FarGrammar, curve, differences, find_grammar, measure
from grammask.induce.far_reads import FULL, NAMED, NEAR, NEAR_NAMED, READS, WIDE_NAMED, Windows, is_name, masks_of_reads
from grammask.induce.gated_attention import GatedPass, _attention
from grammask.induce.learn_gates import _gated, _loss, learn_gates
from grammask.induce.tails import Tail, make_tails
from grammask.model.token_losses import token_losses

WINDOWS = Windows(near=3, wide=8)
COSTS = FarCosts(40, 0.1)


def shape_of(model) -> tuple[int, int]:
    return model.config.num_hidden_layers, model.config.num_attention_heads


def quiet(items, _):
    return items


def whole(model, text) -> Tail:
    """Return a whole text as a tail after nothing."""
    masks = masks_of_reads(text.tag_ids[0], text.word_ids[0], WINDOWS, 0)
    with torch.no_grad():
        cache = model(text.input_ids, use_cache=True).past_key_values
    keys = [(key[:, :, :0], value[:, :, :0]) for key, value, *_ in cache]
    counts = torch.ones(text.input_ids.shape[1] - 1)
    return Tail(text.input_ids[0], 0, counts, masks, keys)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "olmo2"])
@pytest.mark.parametrize("seed", range(2))
def test_hard_gates_read_as_the_grammar_of_the_choice(name, seed):
    model, text = language_model(name), long_text(seed=seed)
    choice = np.random.default_rng(seed).integers(READS, size=shape_of(model))
    gates = torch.nn.functional.one_hot(torch.from_numpy(choice), READS).float()
    tail = whole(model, text)
    with _gated(model), torch.no_grad():
        found = float(_loss(model, tail, gates))
    inputs = {"input_ids": text.input_ids, "tag_ids": text.tag_ids, "word_ids": text.word_ids}
    with grammask.attached(model, far_grammar(choice, WINDOWS, name="found")):
        expected = token_losses(model, inputs, 1).mean()
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_tail_after_kept_keys_reads_as_the_whole_text():
    """Its keys come from a wide window and far names; where all heads read so, cutting a text changes nothing."""
    model, text = language_model("llama"), long_text(60, asked=50)
    (*tails,), (questions,) = make_tails(model, [text], WINDOWS)
    choice = np.full(shape_of(model), WIDE_NAMED)
    gates = torch.nn.functional.one_hot(torch.from_numpy(choice), READS).float()
    inputs = {"input_ids": text.input_ids, "tag_ids": text.tag_ids, "word_ids": text.word_ids}
    with grammask.attached(model, far_grammar(choice, WINDOWS, name="before")):
        losses = torch.from_numpy(token_losses(model, inputs, 1))
    names = torch.where(is_name(text.tag_ids[0]), 3.0, 1.0)
    assert [tail.start for tail in tails] == [8, 18, 28, 38]
    for tail in [*tails, questions]:
        part = slice(tail.start + 1, tail.start + len(tail.input_ids))
        counts = text.of_answers[part].double() if tail is questions else names[part]
        with _gated(model), torch.no_grad():
            found = float(_loss(model, tail, gates))
        expected = float((losses[tail.start :][: len(counts)] * counts).sum() / counts.sum())
        assert found == pytest.approx(expected, abs=1e-5)
    assert questions.start == 50


@pytest.mark.parametrize("start", [0, 13])
def test_gates_weigh_the_outputs_of_reads(start):
    draw, text = torch.Generator().manual_seed(1), long_text(20)
    query, key, value = (torch.randn(1, heads, 20, 8, generator=draw, dtype=torch.float64) for heads in (4, 2, 2))
    query, own_key, own_value = (states[:, :, start:].clone().requires_grad_() for states in (query, key, value))
    gates = torch.rand(1, 4, READS, generator=draw, dtype=torch.float64, requires_grad=True)
    before = key[:, :, :start], value[:, :, :start]
    layer = torch.nn.Module()
    layer.layer_idx = 0
    masks = masks_of_reads(text.tag_ids[0], text.word_ids[0], WINDOWS, start)
    gated = GatedPass(gates, masks, [before])
    found, _ = _attention(layer, query, own_key, own_value, None, scaling=0.3, gated_pass=gated)
    keys, values = torch.cat((before[0], own_key), 2), torch.cat((before[1], own_value), 2)
    scores = query @ keys.repeat_interleave(2, 1).transpose(2, 3) * 0.3
    expected = sum(
        gates[0, :, read, None, None]
        * (scores.masked_fill(~mask, -torch.inf).softmax(-1) @ values.repeat_interleave(2, 1))
        for read, mask in enumerate(masks)
    ).transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(found.square().sum(), (gates, query, own_key, own_value)),
        torch.autograd.grad(expected.square().sum(), (gates, query, own_key, own_value)),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, atol=1e-11)


def learned(model, monkeypatch, loss, **changes):
    monkeypatch.setattr(module, "_loss", loss)
    settings = {"windows": WINDOWS, "budget": 0.3, "names": True, "steps": 60, "bar": quiet, **changes}
    return learn_gates(model, [long_text()], COSTS, **settings)


def test_a_head_reads_far_where_the_loss_gains_by_it_and_near_elsewhere(monkeypatch):
    model = language_model("llama")
    gains = torch.zeros(*shape_of(model), READS)
    gains[0, 1, FULL] = gains[1, 0, NEAR_NAMED] = 5.0
    choice = learned(model, monkeypatch, lambda _model, _tail, gates: -(gates * gains).sum())
    expected = np.full(shape_of(model), NEAR)
    expected[0, 1], expected[1, 0] = FULL, NEAR_NAMED
    assert choice.tolist() == expected.tolist()


def test_without_names_no_head_reads_them(monkeypatch):
    model = language_model("llama")
    choice = learned(model, monkeypatch, lambda _model, _tail, gates: -gates[..., NAMED].sum(), names=False)
    assert not np.isin(choice, NAMED).any()


def test_more_steps_are_smaller_ones(monkeypatch):
    """What a gate draws at random averages out, while what the loss says of it all the time adds up."""
    rates, real = [], torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *given, **how: rates.append(how["lr"]) or real(*given, **how))
    for steps in (60, 100, 400):
        learned(language_model("llama"), monkeypatch, lambda _model, _tail, gates: gates.sum(), steps=steps)
    assert rates == [0.15, 0.15, 0.075]


@pytest.mark.parametrize("steps", [60, 300])
@pytest.mark.parametrize("budget", [0.2, 0.3, 0.4])
def test_pairs_are_near_the_budget_where_all_heads_gain_alike(budget, steps, monkeypatch):
    """Heads that gain by reading more, each a little more than the next: the price finds how many may."""
    model = language_model("llama", num_attention_heads=16, num_key_value_heads=16, hidden_size=32, head_dim=2)
    worth = torch.linspace(0.1, 0.9, 48).reshape(shape_of(model))
    costs = torch.from_numpy(COSTS.of_reads(WINDOWS)).float()
    choice = learned(
        model, monkeypatch, lambda _model, _tail, gates: -((gates @ costs) * worth).mean(), budget=budget, steps=steps,
    )  # fmt: skip
    assert COSTS.pairs(choice, WINDOWS) == pytest.approx(budget, abs=0.03)


def test_learning_leaves_a_model_as_it_was():
    model, text = language_model("llama"), long_text(60, asked=50)
    model.train()
    model.lm_head.weight.requires_grad_(False)
    before = model.config._attn_implementation, {name: value.clone() for name, value in model.state_dict().items()}
    choice = learn_gates(model, [text], COSTS, windows=WINDOWS, budget=0.4, names=True, steps=3, bar=quiet)
    assert choice.shape == shape_of(model)
    assert model.training
    assert model.config._attn_implementation == before[0]
    assert all(torch.equal(value, before[1][name]) for name, value in model.state_dict().items())
    learns = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert learns == {"lm_head.weight"}
    assert all(parameter.grad is None for parameter in model.parameters())


def test_heads_learn_the_same_on_another_device():
    model, text = language_model("llama"), long_text(60, asked=50)
    settings = {"windows": WINDOWS, "budget": 0.4, "names": False, "steps": 4, "bar": quiet}
    choice, losses = learn_gates(model, [text], COSTS, **settings), measure(model, [text], None)
    with other_device() as device:
        model.to(device)
        assert learn_gates(model, [text], COSTS, **settings).tolist() == choice.tolist()
        assert measure(model, [text], None) == pytest.approx(losses, abs=1e-4)


def test_models_with_windows_of_their_own_are_refused():
    with pytest.raises(ModelError, match="own mask is another one"):
        learn_gates(
            language_model("mistral"), [long_text(60, asked=50)], COSTS, windows=WINDOWS, budget=0.4, names=True,
            steps=1, bar=quiet,
        )  # fmt: skip


def test_a_budget_that_is_spent_without_the_wide_window_is_refused(monkeypatch):
    monkeypatch.setattr(module, "_loss", lambda _model, _tail, gates: -9 * gates[..., FULL].sum())
    with pytest.raises(InputError, match=r"--budget 0.1 is too small: with windows of 64 words alone"):
        find_grammar(
            language_model("llama"), [long_text()], FarCosts(4_000, 0.1), windows=Windows(64, 256), budget=0.1,
            names=True, steps=40, bar=quiet,
        )  # fmt: skip


def test_losses_are_of_texts_behind_their_first_quarter_of_names_and_of_answers():
    model, texts = language_model("llama"), [long_text(60, asked=50), long_text(80, seed=1, asked=60)]
    grammar = Grammar("near", far_grammar(np.zeros(shape_of(model), int), WINDOWS, name="near").rules)
    found = measure(model, texts, grammar)
    losses, kinds = [], []
    with grammask.attached(model, grammar):
        for text in texts:
            inputs = {"input_ids": text.input_ids, "tag_ids": text.tag_ids, "word_ids": text.word_ids}
            losses += token_losses(model, inputs, 1).tolist()
            for place in range(1, text.input_ids.shape[1]):
                late = text.asked // 4 <= place < text.asked
                kinds.append((late, late and bool(is_name(text.tag_ids[0])[place]), place >= text.asked))
    for number, key in enumerate(("loss", "names_loss", "answers_loss")):
        expected = np.mean([loss for loss, kind in zip(losses, kinds, strict=True) if kind[number]])
        assert found[key] == pytest.approx(expected)


def test_a_curve_has_the_same_heads_with_other_wide_windows():
    model, texts = language_model("llama"), [long_text(60, asked=50)]
    found = FarGrammar(np.full(shape_of(model), 2), Windows(2, 8))
    full = measure(model, texts, None)
    rows = curve(model, texts, found, COSTS, full, lambda _: None)
    assert [row["wide"] for row in rows] == [2, 4, 8, 16]
    assert rows == sorted(rows, key=lambda row: row["pairs"])
    own = differences(measure(model, texts, found.grammar(name="own")), full)
    assert {key: rows[2][key] for key in own} == own
