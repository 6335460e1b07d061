"""Every supported architecture: full and all-allow are the stock model, hard is exact, detach leaves no trace."""

import pytest
import torch
import transformers
from helpers.batches import random_batch
from helpers.tiny_models import ARCHITECTURES, DECODERS, tiny_model

import grammask
from grammask.errors import ModelError
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import PAD
from grammask.model.support import SUPPORTED

EVERY = pytest.mark.parametrize("model_type", ARCHITECTURES)


def output(model, inputs):
    with torch.no_grad():
        return model(**inputs)[0]


def real(states, batch):
    """Leave out padding: its rows are nobody's to read."""
    return states[batch.inputs["attention_mask"].bool()] if states.dim() == 3 else states


def test_every_supported_architecture_is_tested():
    assert tuple(ARCHITECTURES) == SUPPORTED


@EVERY
def test_full_and_all_allow_are_the_stock_model_and_detach_leaves_no_trace(model_type, batch, allow_all):
    model = tiny_model(model_type)
    stock = output(model, batch.inputs)
    for grammar, strategy in ((allow_all, "hard"), (allow_all, "soft"), ("paper", "full")):
        with grammask.attached(model, grammar, strategy):
            torch.testing.assert_close(output(model, batch.everything), stock, atol=1e-5, rtol=0)
    assert torch.equal(output(model, batch.inputs), stock)


@EVERY
def test_hard_and_soft_differ_from_full(model_type):
    batch = random_batch((41, 30))
    model = tiny_model(model_type)
    stock = real(output(model, batch.inputs), batch)
    for strategy in ("hard", "soft"):
        with grammask.attached(model, "paper", strategy):
            assert not torch.allclose(real(output(model, batch.everything), batch), stock, atol=1e-3)


@EVERY
def test_weights_are_exact_and_only_on_allowed_pairs(model_type):
    batch = random_batch((13, 9))
    model = grammask.attach(tiny_model(model_type), "paper-sinks", "hard")
    expected = output(model, batch.everything)
    with torch.no_grad():
        found = model(**batch.everything, output_attentions=True)
    torch.testing.assert_close(real(found[0], batch), real(expected, batch), atol=1e-5, rtol=0)
    assert len(found.attentions) == 3
    allowed = allowed_pairs(compile_tables(grammask.load_grammar("paper-sinks")), **batch.annotation)
    rows = batch.annotation["tag_ids"] != PAD
    for weights in found.attentions:
        assert weights.shape == (2, 4, 13, 13)
        weights = weights.transpose(1, 2)[rows]
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
        assert not weights[~allowed.transpose(1, 2).expand(-1, -1, 4, -1)[rows]].any()


@EVERY
def test_a_blocked_key_changes_nothing_for_the_query(model_type):
    """One layer: what a query may not read can change as it likes."""
    changes = {"num_hidden_layers": 1, "n_layers": 1} if model_type == "distilbert" else {"num_hidden_layers": 1}
    batch = random_batch((13,))
    model = tiny_model(model_type, **changes).base_model
    allowed = allowed_pairs(compile_tables(grammask.load_grammar("paper")), **batch.annotation)[0, 0]
    grammask.attach(model, "paper", "hard")
    before = output(model, batch.everything)[0]
    changed = {**batch.everything, "input_ids": batch.inputs["input_ids"].clone()}
    key = 5
    changed["input_ids"][0, key] = (changed["input_ids"][0, key] - 8 + 50) % 112 + 8
    after = output(model, changed)[0]
    # MobileBERT's embeddings mix each token with its two neighbours before any attention.
    spread = slice(key - 1, key + 2) if model_type == "mobilebert" else slice(key, key + 1)
    if model_type in DECODERS:
        allowed = allowed.tril()
    readers = allowed[:, spread].any(1)
    assert 0 < (~readers).sum() < 13
    assert torch.equal(before[~readers], after[~readers])
    assert not torch.isclose(before[key], after[key]).all()


@EVERY
def test_gradient_checkpointing_changes_no_gradient(model_type, batch):
    def gradients(checkpointing):
        model = grammask.attach(tiny_model(model_type), "neighbours", "hard")
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.train()
        for module in model.modules():
            for name in ("dropout_prob", "attention_dropout", "dropout"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**batch.everything)[0].sum().backward()
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    if not tiny_model(model_type).supports_gradient_checkpointing:
        pytest.skip(f"transformers has no gradient checkpointing for {model_type}")
    for plain, checkpointed in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(plain, checkpointed)


REFUSED = (
    "deberta", "deberta-v2", "mpnet", "longformer", "big_bird", "megatron-bert", "rembert", "roformer", "convbert",
    "xlm", "flaubert", "ibert", "luke", "nystromformer",
)  # fmt: skip


@pytest.mark.parametrize("model_type", REFUSED)
def test_an_architecture_that_would_ignore_the_grammar_is_refused_by_name(model_type):
    config = transformers.AutoConfig.for_model(
        model_type,
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        emb_dim=32, n_layers=2, n_heads=4, embedding_size=32, entity_vocab_size=10, entity_emb_size=8,
        attention_window=4, max_position_embeddings=80, pad_token_id=1, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    model = transformers.AutoModel.from_config(config)
    before = model.config
    with pytest.raises(ModelError, match=rf"{model_type} .*cannot be guided.*Supported architectures: albert"):
        grammask.attach(model, "paper")
    assert model.config is before


def test_an_encoder_decoder_and_a_plain_module_are_refused():
    config = transformers.T5Config(vocab_size=50, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=4)
    with pytest.raises(ModelError, match=r"t5 .*encoder-decoder"):
        grammask.attach(transformers.T5Model(config), "paper")
    with pytest.raises(ModelError, match="Linear"):
        grammask.attach(torch.nn.Linear(2, 2), "paper")
