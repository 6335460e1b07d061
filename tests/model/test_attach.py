"""Attaching: what is kept, what is refused, what is saved."""

import copy

import pytest
import torch
from helpers.batches import random_batch, with_new_words
from helpers.language_models import language_model
from helpers.tiny_models import tiny_model
from transformers import AutoModelForSequenceClassification

import grammask
from grammask.errors import GrammarError, InputError, ModelError
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import NAMED, PAD, UPOS

PER_LAYER = Grammar(
    "per-layer",
    rules=(
        Rule(UPOS, UPOS, Reach("words", -1, 1), layers=(0,)),
        Rule(("NOUN", "VERB"), UPOS, layers=(1, 2), heads=(0, 3)),
    ),
    sinks=("[CLS]",),
)


def logits(model, batch):
    with torch.no_grad():
        return model(**batch.everything)[0]


@pytest.mark.parametrize("model_type", ["bert", "albert"])  # ALBERT calls one module in every layer
def test_rules_hold_in_their_layers_and_heads(model_type, batch):
    model = grammask.attach(tiny_model(model_type), PER_LAYER, "hard")
    with torch.no_grad():
        attentions = model(**batch.everything, output_attentions=True).attentions
    rows = batch.annotation["tag_ids"] != PAD
    for layer, weights in enumerate(attentions):
        allowed = allowed_pairs(compile_tables(PER_LAYER, layer=layer, heads=4), **batch.annotation)
        assert torch.equal(weights.transpose(1, 2)[rows] > 0, allowed.transpose(1, 2)[rows])


def test_a_models_own_window_and_padding_are_kept():
    batch = random_batch((30, 9))
    model = tiny_model("modernbert", layer_types=["sliding_attention"] * 3)
    everything = tuple(tag for tag in NAMED if tag != "[PAD]")
    grammask.attach(model, Grammar("all", rules=(Rule(everything, everything),)), "hard")
    with torch.no_grad():
        weights = model(**batch.everything, output_attentions=True).attentions[0]
    position = torch.arange(30)
    beyond = (position[:, None] - position[None, :]).abs() > 8
    assert not weights[0][:, beyond].any()
    assert not weights[1][:, :9, 9:].any()


def test_two_models_of_one_config_do_not_disturb_each_other(batch):
    one = tiny_model("bert")
    other = type(one)(one.config).eval()
    assert other.config is one.config
    before = other(**batch.inputs).logits
    grammask.attach(one, "paper", "hard")
    assert torch.equal(other(**batch.inputs).logits, before)
    grammask.attach(other, "neighbours", "hard")
    first = logits(one, batch)
    grammask.detach(other)
    assert torch.equal(logits(one, batch), first)


def test_a_copy_of_an_attached_model_is_attached_on_its_own(batch):
    model = grammask.attach(tiny_model("bert"), "paper", "hard")
    twin = copy.deepcopy(model)
    expected = logits(model, batch)
    grammask.detach(model)
    assert torch.equal(logits(twin, batch), expected)


def test_attached_detaches_after_an_error(batch):
    model = tiny_model("bert")
    stock = model(**batch.inputs).logits
    with pytest.raises(RuntimeError, match="mine"), grammask.attached(model, "paper"):
        raise RuntimeError("mine")
    assert torch.equal(model(**batch.inputs).logits, stock)
    with pytest.raises(ModelError, match="no grammar to detach"):
        grammask.detach(model)


def test_modes_and_random_numbers_are_left_alone_by_attach():
    model = tiny_model("bert").train()
    model.classifier.eval()
    state = torch.get_rng_state()
    grammask.attach(model, "paper")
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert not model.classifier.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tag_ids": None}, "tag_ids is missing; grammask.Annotator makes"),
        ({"word_ids": None}, "word_ids is missing"),
        ({"tag_ids": torch.zeros(4, 12).long()}, r"shape \(4, 12\)"),
        ({"tag_ids": torch.zeros(4, 13)}, "dtype torch.float32"),
        ({"tag_ids": torch.full((4, 13), -1)}, "tag_ids holds -1"),
        ({"attention_mask": torch.ones(4, 13)}, "disagree at text 1, token 7"),
        ({"input_ids": torch.full((4, 13), 120)}, "input_ids holds 120, but the model knows 120 tokens"),
    ],
)
def test_wrong_input_raises_and_never_falls_back(batch, change, message):
    model = grammask.attach(tiny_model("bert"), "paper", "hard")
    with pytest.raises(InputError, match=message):
        model(**{**batch.everything, **change})


def test_full_needs_no_tags(batch):
    model = tiny_model("bert")
    stock = model(**batch.inputs).logits
    grammask.attach(model, "paper", "full")
    torch.testing.assert_close(model(**batch.inputs).logits, stock, atol=1e-5, rtol=0)


def test_what_does_not_fit_is_refused_and_leaves_the_model_as_it_was(batch):
    model = tiny_model("bert")
    config, stock = model.config, model(**batch.inputs).logits
    too_deep = Grammar("deep", rules=(Rule(("NOUN",), ("VERB",), layers=(3,)),))
    for grammar, strategy, options, message in (
        (too_deep, "hard", {}, "names 3, but the model has 3 layers"),
        ("paper", "gentle", {}, "unknown strategy 'gentle'"),
        ("paper", "hard", {"learn_strengths": "layer"}, "only the soft strategy"),
        ("neighbours", "soft", {"learn_strengths": "layer"}, "bounded reach"),
        ("paper", "soft", {"learn_strengths": "all"}, 'must be "layer", "head" or None'),
    ):
        with pytest.raises(GrammarError, match=message):
            grammask.attach(model, grammar, strategy, **options)
    assert model.config is config
    assert torch.equal(model(**batch.inputs).logits, stock)
    grammask.attach(model, "paper")
    with pytest.raises(ModelError, match="already has a grammar"):
        grammask.attach(model, "paper")


@pytest.mark.parametrize("options", [{}, {"learn_strengths": "layer"}, {"learn_strengths": "head"}])
def test_a_saved_model_comes_back_with_its_grammar(tmp_path, batch, options):
    model = grammask.attach(tiny_model("bert"), "paper", "soft", **options)
    if options:
        torch.nn.init.normal_(model.base_model.grammask_strengths.table)
    expected = logits(model, batch)
    model.save_pretrained(tmp_path)
    restored = grammask.from_pretrained(tmp_path).eval()
    assert type(restored) is type(model)
    torch.testing.assert_close(logits(restored, batch), expected, atol=1e-6, rtol=0)
    grammask.detach(restored)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation="sdpa").eval()
    with torch.no_grad():
        assert torch.equal(restored(**batch.inputs).logits, stock(**batch.inputs).logits)


def test_from_pretrained_says_what_is_missing(tmp_path):
    tiny_model("bert").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="saved without a grammar"):
        grammask.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no model"):
        grammask.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("learn", ["layer", "head"])
def test_learned_strengths_start_as_the_grammars_and_learn(batch, learn):
    batch = with_new_words(batch)
    fixed = logits(grammask.attach(tiny_model("bert"), "paper", "soft"), batch)
    model = grammask.attach(tiny_model("bert"), "paper", "soft", learn_strengths=learn)
    torch.testing.assert_close(logits(model, batch), fixed)
    model(**batch.everything).logits.square().sum().backward()
    gradient = model.base_model.grammask_strengths.table.grad
    assert gradient.shape == (3, 4 if learn == "head" else 1, 21, 21)  # as before there was [NEW]
    used = batch.annotation["tag_ids"].unique()
    assert gradient[:, :, used[:-1]].any()
    assert not gradient[..., PAD].any()


@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_training_mode_and_bfloat16(strategy):
    batch = random_batch((41, 30))
    model = grammask.attach(
        tiny_model("bert", attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0), "paper", strategy
    )
    expected = logits(model, batch)
    model.train()
    torch.testing.assert_close(model(**batch.everything).logits, expected, atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(**batch.everything).logits
    torch.testing.assert_close(rounded.float(), expected, atol=0.15, rtol=0.15)


def test_hidden_embeddings_may_stand_for_ids(batch):
    model = grammask.attach(tiny_model("bert"), "paper", "hard")
    embeddings = model.get_input_embeddings()(batch.inputs["input_ids"])
    inputs = {"inputs_embeds": embeddings, "attention_mask": batch.inputs["attention_mask"], **batch.annotation}
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs).logits, logits(model, batch))


@pytest.mark.parametrize(("grammar", "strategy", "backend"), [
    ("paper", "hard", "sorted"), ("banded", "hard", "banded"), ("mixed", "hard", "mixed"), ("paper", "soft", "biased"),
])  # fmt: skip
@pytest.mark.parametrize("model_type", ["albert", "bert", "distilbert", "eurobert"])
def test_backends_equal_the_dense_path_in_a_model(model_type, grammar, strategy, backend):
    batch = random_batch((60, 33, 1))

    def run(name):
        model = grammask.attach(tiny_model(model_type), grammar, strategy, backend=name).eval()
        logits = model(**batch.everything)[0]
        if logits.dim() == 3:
            logits = logits * (batch.inputs["attention_mask"] == 1)[..., None]
        logits.sum().backward()
        return [logits.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]

    for found, expected in zip(run(backend), run("dense"), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("learn", ["layer", "head"])
def test_learned_strengths_have_the_dense_paths_gradients(learn):
    batch = random_batch((60, 33))

    def run(backend):
        model = grammask.attach(tiny_model("bert"), "paper", "soft", learn_strengths=learn, backend=backend)
        model(**batch.everything)[0].sum().backward()
        return model.base_model.grammask_strengths.table.grad

    found, expected = run("biased"), run("dense")
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_a_mask_of_the_callers_own_needs_the_dense_path():
    batch = random_batch((30,))
    own = {**batch.everything, "attention_mask": torch.ones(1, 1, 30, 30, dtype=torch.bool).tril()}
    model = grammask.attach(tiny_model("bert"), "paper", "hard", backend="sorted")
    with pytest.raises(InputError, match="more than padding, causality or a sliding window"):
        model(**own)
    grammask.attach(grammask.detach(model), "paper", "hard")(**own)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("model_type", ["bert", "eurobert"])
def test_backends_work_under_autocast(model_type, dropout):
    batch = random_batch((60, 33))

    def run(backend):
        model = grammask.attach(tiny_model(model_type), "mixed", "hard", backend=backend).train(dropout > 0)
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(**batch.everything)[0]
        output.float().sum().backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        return (
            output.float() * (batch.inputs["attention_mask"] == 1)[..., None] if output.dim() == 3 else output.float()
        )

    found, expected = run("mixed"), run("dense")
    if not dropout:
        torch.testing.assert_close(found, expected, atol=0.15 * float(expected.detach().abs().max()), rtol=0)


def test_a_model_that_fails_on_tuples_of_its_own_says_so():
    model = language_model("llama")
    model.config.return_dict = False
    with pytest.raises(ModelError, match="says return_dict=False, with which it fails itself; set model.config.ret"):
        grammask.attach(model, "streaming")
    model.config.return_dict = True
    grammask.attach(model, "streaming")


@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
def test_a_model_that_returns_tuples_does_so_under_a_grammar(model_type, batch):
    model, tuples = (grammask.attach(tiny_model(model_type), PER_LAYER) for _ in range(2))
    tuples.config.return_dict = False
    with torch.no_grad():
        found = tuples(**batch.everything)
    assert type(found) is tuple
    assert torch.equal(found[0], logits(model, batch))
