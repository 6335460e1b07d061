"""Odd texts, odd inputs and odd ways of running models with masks of their own."""

import copy
import pickle

import pytest
import torch
import transformers
from helpers.attention_calls import GRAMMARS
from helpers.batches import Batch, random_batch
from helpers.own_mask_models import MODELS, PADDED, build, close, guided_output, loss
from helpers.stock_oracle import oracle_output
from torch.nn.parallel import DistributedDataParallel

import grammask
from grammask.errors import ModelError
from grammask.grammar.tags import PAD
from grammask.model.attach import set_mask_transform

GRAMMAR = GRAMMARS["mixed"]
BACKENDS = {"hard": "mixed", "soft": "biased"}


def with_padding(batch, rows, columns):
    """Return the batch with some more of its tokens made padding."""
    made = Batch(*({name: ids.clone() for name, ids in part.items()} for part in (batch.inputs, batch.annotation)))
    for ids, value in (("tag_ids", PAD), ("word_ids", -1), ("sentence_ids", -1)):
        made.annotation[ids][rows, columns] = value
    made.inputs["attention_mask"][rows, columns] = 0
    return made


ODD = {
    "padding within": with_padding(random_batch((31, 17, 1)), [0, 0, 1, 1], [7, 8, 0, 3]),
    "a text of padding only": with_padding(random_batch((31, 17)), 1, slice(None)),
    "one token": random_batch((1,)),
    "texts of one token": random_batch((1, 1)),
}
WINDOWS = [
    *(("modernbert", {"local_attention": tokens}) for tokens in (1, 2, 200)),
    *(("mistral", {"sliding_window": tokens}) for tokens in (1, 2, 100)),
    ("llama", {}),
    ("gpt2", {}),
]


@pytest.mark.parametrize(("name", "changes"), WINDOWS)
@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.usefixtures("width")
def test_odd_texts_and_windows(name, changes, strategy):
    model = build(name, **changes)
    with torch.no_grad():
        expected = {odd: oracle_output(model, GRAMMAR, strategy, batch) for odd, batch in ODD.items()}
        for backend in ("dense", BACKENDS[strategy]):
            with grammask.attached(model, GRAMMAR, strategy, backend=backend):
                for odd, batch in ODD.items():
                    found = model(**batch.everything)[0]
                    assert found.isfinite().all()
                    close(found, expected[odd], batch)


@pytest.mark.parametrize("name", ["llama", "modernbert", "bert", "gpt2"])
def test_masks_of_any_dtype_and_embeddings_instead_of_tokens(name):
    model, batch = build(name), PADDED["left"]
    ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    with torch.no_grad():
        expected = oracle_output(model, GRAMMAR, "hard", batch)
        embeddings = model.get_input_embeddings()(ids)
        with grammask.attached(model, GRAMMAR, backend="mixed"):
            for dtype in (torch.float32, torch.bfloat16, torch.bool, torch.uint8):
                found = model(input_ids=ids, attention_mask=mask.to(dtype), **batch.annotation)[0]
                close(found, expected, batch)
            close(model(inputs_embeds=embeddings, attention_mask=mask, **batch.annotation)[0], expected, batch)


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3", "gpt2", "bert"])
@pytest.mark.parametrize("causal", [True, False])
def test_is_causal_of_a_call_or_a_config(name, causal):
    for batch in PADDED.values():
        model = build(name)
        inputs = {**batch.inputs, "is_causal": causal}
        with torch.no_grad():
            expected = oracle_output(model, GRAMMAR, "hard", batch, **inputs)
            close(guided_output(model, GRAMMAR, "hard", batch, backend="mixed", **inputs), expected, batch)
            model.config.is_causal = causal
            expected = oracle_output(model, GRAMMAR, "hard", batch)
            close(guided_output(model, GRAMMAR, "hard", batch, backend="mixed"), expected, batch)


def test_an_encoder_that_is_called_as_causal_is_refused():
    """Stock ModernBERT is causal then in batches without padding only."""
    for batch in PADDED.values():
        with pytest.raises(ModelError, match="is_causal=True, but the model's mask is not causal"):
            guided_output(build("modernbert"), GRAMMAR, "hard", batch, **batch.inputs, is_causal=True)


@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2", "qwen3"])
def test_filling_a_cache_changes_nothing(name):
    model, batch = grammask.attach(build(name), GRAMMAR), random_batch((9, 9))
    with torch.no_grad():
        filled = model(**batch.everything, use_cache=True)
        assert torch.equal(filled[0], model(**batch.everything, use_cache=False)[0])


@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2", "qwen3"])
@pytest.mark.parametrize("kind", [transformers.DynamicCache, transformers.StaticCache])
@pytest.mark.parametrize("padding", ["left", "none"])
def test_full_reads_caches_as_the_stock_model(name, kind, padding):
    model, inputs = build(name), PADDED[padding].inputs
    ids, mask = inputs["input_ids"], inputs["attention_mask"]

    def run():
        cache = kind(config=model.config, max_cache_len=40) if kind is transformers.StaticCache else kind()
        outputs, read = [], mask[:, :0]
        for queries in (31, 1, 3):
            read = torch.cat([read, mask if queries == 31 else torch.ones_like(mask[:, :queries])], 1)
            some = {"input_ids": ids[:, -queries:], "attention_mask": read}
            outputs.append(model(**some, past_key_values=cache, use_cache=True)[0])
        return torch.cat(outputs, 1)

    with torch.no_grad():
        expected = run()
        with grammask.attached(model, "paper", "full"):
            assert torch.equal(run(), expected)


DROPOUT = {"gpt2": "attn_pdrop", "bert": "attention_probs_dropout_prob"}


@pytest.mark.parametrize("name", ["llama", "mistral", "modernbert", "gpt2", "bert"])
@pytest.mark.parametrize(("strategy", "backend"), [("hard", "mixed"), ("hard", "dense"), ("soft", "biased")])
@pytest.mark.usefixtures("width")
def test_recomputed_layers_drop_the_same_weights(name, strategy, backend):
    """With attention dropout, checkpointing of either kind changes neither the loss nor its gradients."""
    batch, found = PADDED["left"], []
    for reentrant in (None, True, False):
        model = build(name, **{DROPOUT.get(name, "attention_dropout"): 0.3}).double().train()
        grammask.attach(model, GRAMMAR, strategy, backend=backend)
        if reentrant is not None:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            model.enable_input_require_grads()
        torch.manual_seed(3)
        value = loss(model(**batch.everything)[0], batch)
        value.backward()
        gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
        found.append(torch.cat([value.detach()[None], *gradients]))
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found[2], found[0], atol=1e-6, rtol=1e-5)
    torch.manual_seed(4)
    assert not torch.isclose(loss(model(**batch.everything)[0], batch), found[0][0])


@pytest.mark.parametrize("name", ["llama", "modernbert"])
def test_copies_during_training_are_the_same_model(name):
    model, batch = grammask.attach(build(name), GRAMMAR, backend="mixed").train(), PADDED["left"]
    output = model(**batch.everything)[0]
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]  # noqa: S301
    output.sum().backward()
    for other in copies:
        assert torch.equal(other(**batch.everything)[0], output)


def test_wrapped_for_several_processes(tmp_path):
    model, batch = grammask.attach(build("mistral"), GRAMMAR, backend="mixed"), PADDED["left"]
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{tmp_path}/processes")
    try:
        output = DistributedDataParallel(model)(**batch.everything)[0]
        output.sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    assert torch.equal(output, model(**batch.everything)[0])


def test_choices_are_read_as_alone():
    torch.manual_seed(0)
    config = transformers.ModernBertConfig(**MODELS["modernbert"])
    model = grammask.attach(transformers.ModernBertForMultipleChoice(config).eval(), GRAMMAR, backend="mixed")
    choices = {name: ids[None] for name, ids in PADDED["right"].everything.items()}
    with torch.no_grad():
        found = model(**choices)[0]
        alone = [model(**{name: ids[:, [row]] for name, ids in choices.items()})[0] for row in range(3)]
    torch.testing.assert_close(found, torch.cat(alone, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_a_mask_transform_keeps_the_model_s_own_mask(strategy):
    model, batch = build("mistral"), PADDED["left"]
    with torch.no_grad():
        expected = oracle_output(model, GRAMMAR, strategy, batch)
        grammask.attach(model, GRAMMAR, strategy)
        set_mask_transform(model, lambda mask, *_: mask)
        close(model(**batch.everything)[0], expected, batch)
