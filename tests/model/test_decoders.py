"""Causal language models: exact under any grammar, saved and loaded, trained, or refused with the reason."""

import pytest
import torch
import transformers
from helpers.attention_calls import GRAMMARS, fitting_backends
from helpers.batches import random_batch
from helpers.lexicon import LexiconTagger
from helpers.own_mask_models import COMMON, GROUPED, MODELS, PADDED, build, close, guided_output, loss
from helpers.stock_oracle import oracle_output
from helpers.strategies import grammars
from helpers.tiny_models import DECODERS
from helpers.tokenizers_for_tests import tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

import grammask
from grammask.errors import ModelError

EVERY = pytest.mark.parametrize("name", DECODERS)
PER_LAYER_AND_HEAD = grammask.Grammar(
    "roles",
    rules=(
        grammask.Rule(("NOUN", "VERB"), ("PROPN", "NUM"), strength=2.0, layers=(0, 2)),
        grammask.Rule(grammask.TAGS[:17], grammask.TAGS[:17], grammask.Reach("words", -3, 0), 1.0, heads=(1, 2)),
        grammask.Rule(grammask.TAGS[:17], ("NOUN",), strength=-1.0, layers=(1,), heads=(3,)),
    ),
    sink_tokens=2,
)


def build_causal(name, **changes):
    """Return a small random causal language model, the same one at every call."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(name, **{**MODELS[name], **changes})
    model = transformers.AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def gradients(output, model, batch):
    found = torch.autograd.grad(loss(output, batch), list(model.parameters()), allow_unused=True)
    return torch.cat([grad.flatten() for grad in found if grad is not None])


@settings(max_examples=8)
@given(
    name=st.sampled_from(sorted(DECODERS)), grammar=grammars | st.just(PER_LAYER_AND_HEAD),
    strategy=st.sampled_from(["hard", "soft"]), padding=st.sampled_from(sorted(PADDED)), number=st.integers(0, 9),
)  # fmt: skip
def test_states_and_gradients_equal_the_oracle_under_any_grammar(name, grammar, strategy, padding, number):
    model, batch = build(name).double(), PADDED[padding]
    of_layers = [
        fitting_backends(grammar, strategy, layer=layer, heads=4) for layer in range(model.config.num_hidden_layers)
    ]
    backends = [backend for backend in of_layers[0] if all(backend in others for others in of_layers)]
    expected = oracle_output(model, grammar, strategy, batch)
    found = guided_output(model, grammar, strategy, batch, backend=backends[number % len(backends)])
    close(found, expected, batch, atol=1e-5)
    wanted = gradients(expected, model, batch)
    assert (gradients(found, model, batch) - wanted).norm() < 2e-5 * wanted.norm()


@EVERY
def test_packed_texts_are_each_read_alone(name):
    """Without an attention mask, position numbers that restart say where the next text begins."""
    model, texts = build_causal(name), [random_batch((13,)), random_batch((9,), seed=1)]
    grammar = GRAMMARS["mixed"]
    together = {key: torch.cat([text.annotation[key] for text in texts], 1) for key in texts[0].annotation}
    input_ids = torch.cat([text.inputs["input_ids"] for text in texts], 1)
    position_ids = torch.cat([torch.arange(13), torch.arange(9)])[None]
    for strategy in ("hard", "soft", "full"):
        with grammask.attached(model, grammar, strategy), torch.no_grad():
            packed = model(input_ids=input_ids, position_ids=position_ids, use_cache=False, **together).logits
            alone = [model(**text.everything).logits for text in texts]
        torch.testing.assert_close(packed, torch.cat(alone, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "tied"), [("llama", False), *((name, True) for name in DECODERS)])
def test_a_causal_model_comes_back_with_its_grammar(name, tied, tmp_path):
    """Calls ask for a cache by default; they may ask for some logits only."""
    model = grammask.attach(build_causal(name, tie_word_embeddings=tied), PER_LAYER_AND_HEAD, "hard")
    batch = PADDED["left"]
    with torch.no_grad():
        expected = model(**batch.everything)
        model.save_pretrained(tmp_path)
        back = grammask.from_pretrained(tmp_path).eval()
        found = back(**batch.everything, use_cache=False, logits_to_keep=2)
        assert expected.past_key_values is not None
        assert found.past_key_values is None
        assert type(back) is type(model)
        assert (back.get_output_embeddings().weight is back.get_input_embeddings().weight) is tied
        torch.testing.assert_close(found.logits, expected.logits[:, -2:], atol=1e-5, rtol=0)
        stock = build_causal(name, tie_word_embeddings=tied)(**batch.inputs).logits
        assert not torch.allclose(expected.logits[:, -1], stock[:, -1], atol=1e-3)
        assert torch.equal(grammask.detach(model)(**batch.inputs).logits, stock)


@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2"])
def test_the_loss_of_the_next_tokens_is_the_oracle_s_also_with_checkpointing(name):
    batch, grammar = PADDED["left"], GRAMMARS["mixed"]
    model = build_causal(name).double()
    labels = batch.inputs["input_ids"].masked_fill(batch.inputs["attention_mask"] == 0, -100)
    parameters = list(model.parameters())
    spelled = oracle_output(model, grammar, "hard", batch, **batch.inputs, labels=labels, use_cache=False)
    wanted = torch.autograd.grad(spelled, parameters)
    grammask.attach(model, grammar, "hard").train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
        found = model(**batch.everything, labels=labels).loss
        torch.testing.assert_close(found, spelled)
        for one, other in zip(torch.autograd.grad(found, parameters), wanted, strict=True):
            torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-6)


def test_a_trainer_teaches_a_guided_model_the_next_token(tmp_path):
    made = tokenizer("wordpiece")
    annotate = grammask.Annotator(made, LexiconTagger(), cache=False)
    encoded = annotate(["the kind cat sees a dull film .", "a dull film ."] * 8)
    features = [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]
    features = [{**feature, "labels": feature["input_ids"]} for feature in features]
    model = grammask.attach(build_causal("llama", vocab_size=len(made), pad_token_id=made.pad_token_id), "streaming")
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=12, per_device_train_batch_size=4, learning_rate=0.01, report_to=[],
        save_strategy="no", gradient_checkpointing=True, disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model=model, args=arguments, train_dataset=features, data_collator=grammask.Collator(made)
    )
    before = trainer.evaluate(features)["eval_loss"]
    trainer.train()
    assert trainer.evaluate(features)["eval_loss"] < 0.7 * before


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_decoder_classifies_by_its_last_real_token(side):
    model = transformers.AutoModelForSequenceClassification.from_config(
        transformers.AutoConfig.for_model("llama", **GROUPED, num_labels=3)
    ).eval()
    grammask.attach(model, PER_LAYER_AND_HEAD)
    with torch.no_grad():
        together = model(**PADDED[side].everything).logits
        for row, length in enumerate((31, 17, 1)):
            shown = slice(0, length) if side == "right" else slice(31 - length, 31)
            alone = {name: ids[row : row + 1, shown] for name, ids in PADDED[side].everything.items()}
            torch.testing.assert_close(model(**alone).logits[0], together[row], atol=1e-5, rtol=0)


T5 = {"vocab_size": 50, "d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 4}
BART = {
    "vocab_size": 120, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64,
}  # fmt: skip
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
LOST = "isn't computed by transformers' AttentionInterface"
REFUSED = {
    "gemma2": ({**GROUPED, "head_dim": 8}, "AutoModelForCausalLM", r"soft-capped scores \(softcap\)"),
    "gpt_oss": ({**GROUPED, **EXPERTS, "head_dim": 8}, "AutoModelForCausalLM", r"learned attention sinks \(s_aux\)"),
    "t5": ({**T5, "decoder_start_token_id": 0}, "AutoModelForSeq2SeqLM", "encoder-decoder"),
    "bart": (BART, "AutoModelForSeq2SeqLM", "encoder-decoder"),
    "falcon": (GROUPED, "AutoModelForCausalLM", LOST),
    "opt": ({**COMMON, "ffn_dim": 32, "word_embed_proj_dim": 32}, "AutoModelForCausalLM", LOST),
    "mpt": ({"vocab_size": 120, "d_model": 32, "n_layers": 2, "n_heads": 4}, "AutoModelForCausalLM", LOST),
    "mamba": ({"vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2}, "AutoModelForCausalLM", "0 of its 2 lay"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_is_refused_with_the_feature_that_no_grammar_has(name):
    config, kind, feature = REFUSED[name]
    model = getattr(transformers, kind).from_config(transformers.AutoConfig.for_model(name, **config))
    with pytest.raises(
        ModelError, match=f"^{name} .*cannot be guided: .*{feature}.* Supported architectures: "
    ) as found:
        grammask.attach(model, "streaming")
    assert "\n" not in str(found.value)


def test_without_its_soft_caps_a_model_is_exact():
    caps = {"attn_logit_softcapping": None, "final_logit_softcapping": None, "head_dim": 8, "sliding_window": 7}
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model("gemma2", **GROUPED, **caps)).eval()
    with torch.no_grad():
        for batch in PADDED.values():
            expected = oracle_output(model, PER_LAYER_AND_HEAD, "hard", batch)
            close(guided_output(model, PER_LAYER_AND_HEAD, "hard", batch), expected, batch)
