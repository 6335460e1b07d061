"""Guided models on a GPU: what they compute, train, save, explain, generate and tag there is what the CPU says."""

import copy

import pytest
import torch
import torch.distributed as dist
import transformers
from helpers.batches import Batch, left_padded, random_batch
from helpers.language_models import language_model
from helpers.lexicon import annotator, sentences, trained
from helpers.strategies import grammars
from helpers.subword_taggers import random_tagger
from helpers.tiny_models import ENCODERS, tiny_model
from helpers.tokenizers_for_tests import tokenizer
from hypothesis import HealthCheck, given, settings
from torch.nn.parallel import DistributedDataParallel

import grammask
from grammask.errors import ExplainError
from grammask.grammar.tags import UPOS

WIDE = {"hidden_size": 64, "intermediate_size": 96}
WORDS = tuple(UPOS)
FAR = grammask.Grammar(
    "far",
    rules=(
        grammask.Rule(WORDS, WORDS, [-4, 4], strength=1.0),
        grammask.Rule(WORDS, ("PROPN", "NUM"), heads=(1,)),
        grammask.Rule(WORDS, ("VERB",), [-20, -2], layers=(0, 2), heads=(2, 3)),
    ),
    sink_tokens=2,
)  # fmt: skip


def encoder(**changes):
    return tiny_model("bert", **WIDE, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0, **changes)


def on_gpu(batch):
    return {name: ids.cuda() for name, ids in batch.everything.items()}


def answers(model, inputs, real):
    with torch.no_grad():
        return model.base_model(**inputs).last_hidden_state[real].cpu()


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("backend", ["auto", "dense", "flex"])
@pytest.mark.parametrize("name", ["bert", "modernbert", "llama", "qwen3"])
def test_a_guided_model_says_what_it_says_on_the_cpu(name, backend, strategy):
    changes = {"head_dim": 16} if name == "qwen3" else {}
    model = tiny_model(name, **WIDE, **changes)
    batch = random_batch((70, 33, 5))
    real = batch.inputs["attention_mask"] == 1
    grammask.attach(model, FAR, strategy, backend="dense")
    expected = answers(model, batch.everything, real)
    grammask.detach(model)
    grammask.attach(model, FAR, strategy, backend=backend)
    torch.testing.assert_close(answers(model.cuda(), on_gpu(batch), real), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_a_training_step_has_the_gradients_of_the_cpu(strategy):
    batch, labels = random_batch((70, 33, 5)), torch.tensor([0, 1, 2])
    gradients = {}
    for device, backend in (("cpu", "dense"), ("cuda", "dense"), ("cuda", "flex")):
        learns = {"learn_strengths": "head"} if strategy == "soft" else {}
        grammar = "paper" if learns else FAR
        model = grammask.attach(encoder(), grammar, strategy, backend=backend, **learns).to(device).train()
        inputs = {name: ids.to(device) for name, ids in batch.everything.items()}
        model(**inputs, labels=labels.to(device)).loss.backward()
        gradients[device, backend] = {
            name: weight.grad.cpu() for name, weight in model.named_parameters() if weight.grad is not None
        }
    expected = gradients.pop(("cpu", "dense"))
    for found in gradients.values():
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, atol=2e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_a_whole_step_never_waits(strategy):
    model = grammask.attach(encoder(), FAR, strategy, backend="flex").cuda().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    inputs, labels = on_gpu(random_batch((70, 33, 5))), torch.tensor([0, 1, 2], device="cuda")

    def step():
        model(**inputs, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("backend", ["auto", "flex"])
def test_autocast_computes_in_bfloat16(backend):
    model = grammask.attach(encoder(), FAR, backend=backend).cuda()
    batch = random_batch((70, 33))
    real = batch.inputs["attention_mask"] == 1
    exact = answers(model, on_gpu(batch), real)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        found = answers(model, on_gpu(batch), real)
    torch.testing.assert_close(found.float(), exact, atol=0.1, rtol=0.1)


def test_what_was_trained_there_is_saved_and_read_anywhere(tmp_path):
    model = grammask.attach(encoder(), FAR, backend="flex").cuda()
    batch = random_batch((70, 33))
    real = batch.inputs["attention_mask"] == 1
    expected = answers(model, on_gpu(batch), real)
    model.save_pretrained(tmp_path)
    read = grammask.from_pretrained(tmp_path).eval()
    assert read.device.type == "cpu"
    torch.testing.assert_close(answers(read, batch.everything, real), expected, atol=1e-4, rtol=1e-4)


def test_explanations_are_refused_by_name():
    annotate = annotator()
    model = trained(annotate).cuda()
    with pytest.raises(ExplainError, match=r"models are explained on the CPU: model.to\('cpu'\)"):
        grammask.explain(model, annotate, sentences(60, seed=2)[0])


@given(grammars)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_grammar_cache_is_exact(grammar):
    rules = tuple(rule for rule in grammar.rules if rule.reach.kind != "sentence")
    model = language_model("llama").cuda()
    grammask.attach(model, grammask.Grammar("drawn", rules=rules, sink_tokens=grammar.sink_tokens))
    batch = left_padded(random_batch((41, 30, 9)))
    caches = transformers.DynamicCache(), grammask.GrammarCache(model)
    real = batch.inputs["attention_mask"].bool()
    end = 0
    for tokens in (20, 1, 1, 9, 1):
        start, end = end, end + tokens
        given_ = {name: ids[:, :end].cuda() for name, ids in batch.everything.items()}
        given_["input_ids"] = given_["input_ids"][:, start:]
        with torch.no_grad():
            whole, kept = (model(**given_, past_key_values=cache)[0].cpu() for cache in caches)
        torch.testing.assert_close(kept[real[:, start:end]], whole[real[:, start:end]], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("how", [{"num_beams": 3}, {"do_sample": True, "top_k": 5}, {}], ids=str)
def test_texts_are_generated_with_it(how):
    model = grammask.attach(language_model("llama").cuda(), FAR)
    batch = left_padded(random_batch((41, 30, 9)))
    texts = []
    for cache in (None, grammask.GrammarCache(model)):
        torch.manual_seed(0)
        given_ = on_gpu(Batch(batch.inputs, batch.annotation))
        texts.append(model.generate(**given_, past_key_values=cache, max_new_tokens=4, **how))
    assert torch.equal(*texts)


def test_the_own_tagger_tags_there():
    tagger, own = random_tagger(), tokenizer("wordpiece")
    batch = own(["The cat saw Prague in 1968.", "No."], padding=True, return_tensors="pt")
    expected = tagger.tag_tokens(batch["input_ids"], batch["attention_mask"])
    found = tagger.tag_tokens(batch["input_ids"].cuda(), batch["attention_mask"].cuda())
    for name, ids in expected.items():
        assert found[name].is_cuda
        assert torch.equal(found[name].cpu(), ids), name


def test_nccl_averages_gradients(tmp_path):
    dist.init_process_group("nccl", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        model = grammask.attach(encoder(), FAR, backend="flex").cuda().train()
        plain = copy.deepcopy(model)
        inputs, labels = on_gpu(random_batch((70, 33, 5))), torch.tensor([0, 1, 2], device="cuda")
        wrapped = DistributedDataParallel(model, device_ids=[0], find_unused_parameters=True)
        wrapped(**inputs, labels=labels).loss.backward()
        plain(**inputs, labels=labels).loss.backward()
        for one, other in zip(model.parameters(), plain.parameters(), strict=True):
            if other.grad is not None:
                torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_runs_there(name):
    model = tiny_model(name)
    grammask.attach(model, FAR)
    batch = random_batch((30, 12))
    with torch.no_grad():
        expected = model(**batch.everything)[0]
        found = model.cuda()(**on_gpu(batch))[0].cpu()
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)
