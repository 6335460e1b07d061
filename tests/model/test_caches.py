"""Guided models that read key-value caches: the last tokens of a text equal those of the whole text."""

import pytest
import torch
import transformers
from helpers.attention_calls import GRAMMARS, fitting_backends
from helpers.batches import left_padded, random_batch
from helpers.own_mask_models import MODELS, PADDED, build, close
from helpers.stock_oracle import oracle_output

import grammask
from grammask.errors import InputError, ModelError
from grammask.model.attach import set_mask_transform

GRAMMAR = GRAMMARS["mixed"]
CAUSAL = [name for name in MODELS if name != "modernbert"]


def first(batch, tokens):
    """Return what a call gives for all tokens up to some: of the whole text, as attention_mask is."""
    return {name: ids[:, :tokens] for name, ids in {**batch.inputs, **batch.annotation}.items() if name != "input_ids"}


def in_chunks(model, batch, chunks, cache, **more):
    """Return the first output of a model that reads a batch in chunks of so many tokens."""
    outputs, end = [], 0
    for chunk in chunks:
        end += chunk
        some = batch.inputs["input_ids"][:, end - chunk : end]
        outputs.append(model(input_ids=some, **first(batch, end), past_key_values=cache, use_cache=True, **more)[0])
    return torch.cat(outputs, 1)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_chunks_and_single_tokens_equal_the_whole_text(name, strategy):
    model, batch = build(name), PADDED["left"]
    cases = {
        "dense": transformers.DynamicCache(),
        fitting_backends(GRAMMAR, strategy, heads=4)[-1]: transformers.DynamicCache(config=model.config),
    }
    with torch.no_grad():
        expected = oracle_output(model, GRAMMAR, strategy, batch)
        for backend, cache in cases.items():
            with grammask.attached(model, GRAMMAR, strategy, backend=backend):
                close(in_chunks(model, batch, (17, 1, 4, 9), cache), expected, batch)


@pytest.mark.parametrize("name", ["mistral", "qwen3"])
def test_a_cache_of_short_windows_lets_keys_go(name):
    """The cache that transformers makes by itself, in layers with windows of 5 and 7 tokens."""
    model, batch = build(name), left_padded(random_batch((31, 20)))
    with torch.no_grad():
        expected = oracle_output(model, GRAMMAR, "hard", batch)
        with grammask.attached(model, GRAMMAR):
            begun = model(input_ids=batch.inputs["input_ids"][:, :20], **first(batch, 20), use_cache=True)
            cache = begun.past_key_values
            found = torch.cat([begun[0], *(
                model(
                    input_ids=batch.inputs["input_ids"][:, end - 1 : end], **first(batch, end), past_key_values=cache
                )[0] for end in range(21, 32)
            )], 1)  # fmt: skip
        close(found, expected, batch)
    assert cache.layers[0].keys.shape[2] < 7


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_weights_transforms_and_masks_of_the_caller(name):
    model, batch = build(name), PADDED["none"]
    chunks, cache = (20, 4, 7), transformers.DynamicCache
    with torch.no_grad():
        expected = oracle_output(model, GRAMMAR, "hard", batch)
        grammask.attach(model, GRAMMAR)
        close(in_chunks(model, batch, chunks, cache(config=model.config), output_attentions=True), expected, batch)
        causal = torch.ones(1, 1, 31, 31, dtype=torch.bool).tril()
        if name == "llama":
            own, cached = cache(), []
            for start, end in ((0, 20), (20, 31)):
                some = {**first(batch, end), "attention_mask": causal[:, :, start:end, :end]}
                cached.append(model(input_ids=batch.inputs["input_ids"][:, start:end], **some, past_key_values=own)[0])
            close(torch.cat(cached, 1), expected, batch)
        set_mask_transform(model, lambda mask, *_: mask)
        close(in_chunks(model, batch, chunks, cache(config=model.config)), expected, batch)


def test_learned_strengths_read_a_cache():
    model, batch = build("llama"), PADDED["left"]
    grammask.attach(model, GRAMMARS["sorted"], "soft", learn_strengths="head")
    with torch.no_grad():
        torch.nn.init.normal_(model.grammask_strengths.table)
        expected = model(**batch.everything)[0]
        close(in_chunks(model, batch, (25, 1, 5), transformers.DynamicCache()), expected, batch)


def test_the_annotation_is_of_the_whole_text():
    model, batch = grammask.attach(build("llama"), GRAMMAR), random_batch((9, 9))
    cache = transformers.DynamicCache()
    last = {name: ids[:, -1:] for name, ids in batch.everything.items()}
    with torch.no_grad():
        model(**batch.everything, past_key_values=cache)
        with pytest.raises(InputError, match=r"the cache holds 9 earlier ones: .* of the whole text, \(2, 10\)"):
            model(**last, past_key_values=cache)
        wrong = {name: ids[:, :8] for name, ids in batch.annotation.items()}
        with pytest.raises(InputError, match=r"tag_ids has shape \(2, 8\), but the batch has shape \(2, 10\)"):
            model(input_ids=last["input_ids"], **wrong, past_key_values=cache)


class Moved(transformers.DynamicCache):
    def get_query_offset(self, layer_idx=0):
        return self.get_seq_length() + 1


def foreign_caches(config):
    dynamic = transformers.DynamicCache
    yield transformers.StaticCache(config=config, max_cache_len=40), "StaticLayer"
    yield transformers.EncoderDecoderCache(dynamic(), dynamic()), "an encoder and a decoder"
    yield Moved(), "don't stand after its keys"
    offloading = dynamic()
    offloading.offloading = True
    yield offloading, "offloading=True"
    yield "cache", "of type str"


def test_caches_that_cannot_be_guided_are_refused():
    model, batch = grammask.attach(build("llama"), GRAMMAR), random_batch((9, 9))
    for cache, why in foreign_caches(model.config):
        with pytest.raises(ModelError, match="cannot be guided.*; give past_key_values=DynamicCache") as raised:
            model(**batch.everything, past_key_values=cache)
        assert why in str(raised.value)


def test_layers_of_unlike_length_are_refused():
    """As a library leaves them that drops keys of some layers."""
    model, batch = grammask.attach(build("llama"), GRAMMAR), random_batch((9, 9))
    cache = transformers.DynamicCache()
    with torch.no_grad():
        model(**batch.everything, past_key_values=cache)
        cache.layers[1].keys, cache.layers[1].values = cache.layers[1].keys[:, :, 3:], cache.layers[1].values[:, :, 3:]
        whole = random_batch((10, 10))
        with pytest.raises(ModelError, match="reads 7 keys from 1 queries in a text of 10 tokens"):
            model(input_ids=whole.inputs["input_ids"][:, -1:], **whole.annotation, past_key_values=cache)
