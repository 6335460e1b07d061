"""Models with masks of their own, causal or windowed, equal the oracle under every grammar; no mask is n x n."""

import logging

import pytest
import torch
from helpers.attention_calls import GRAMMARS, fitting_backends
from helpers.batches import left_padded, random_batch
from helpers.own_mask_models import GROUPED, MODELS, PADDED, build, close, guided_output, loss, real
from helpers.stock_oracle import oracle_output
from torch.utils._python_dispatch import TorchDispatchMode

import grammask
from grammask.attention.position_mask import PositionMask
from grammask.errors import InputError
from grammask.model import model_mask

EVERY = pytest.mark.parametrize("name", MODELS)


@EVERY
@pytest.mark.parametrize("padding", PADDED)
def test_full_is_bit_identical_to_the_stock_model(name, padding):
    model, batch = build(name), PADDED[padding]
    for inputs in (batch.inputs, {"input_ids": batch.inputs["input_ids"]}):
        with torch.no_grad():
            stock = model(**inputs)[0]
            with grammask.attached(model, "paper", "full"):
                assert torch.equal(model(**inputs)[0], stock)


WIDTHS = ("narrow", "wide")
# Every model under either strategy; one of each kind of mask under either width of windows too.
GUIDED = [
    (name, strategy, width)
    for number, name in enumerate(MODELS)
    for row, strategy in enumerate(("hard", "soft"))
    for column, width in enumerate(WIDTHS)
    if (number + row + column) % 2 or name in ("llama", "mistral", "modernbert")
]


@pytest.mark.parametrize(("name", "strategy", "width"), GUIDED, indirect=["width"])
def test_guided_models_equal_the_oracle(name, strategy, width):
    model = build(name)
    for grammar in (GRAMMARS["sorted with sinks"], GRAMMARS["mixed"]):
        with torch.no_grad():
            expected = {padding: oracle_output(model, grammar, strategy, batch) for padding, batch in PADDED.items()}
            for backend in fitting_backends(grammar, strategy, heads=4)[2:]:
                with grammask.attached(model, grammar, strategy, backend=backend):
                    for padding, batch in PADDED.items():
                        close(model(**batch.everything)[0], expected[padding], batch)


@EVERY
@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_dense_attention_and_weights_equal_the_oracle(name, strategy):
    model, grammar = build(name), GRAMMARS["mixed"]
    for batch in PADDED.values():
        with torch.no_grad():
            expected = oracle_output(model, grammar, strategy, batch)
            close(guided_output(model, grammar, strategy, batch, backend="dense"), expected, batch)
            close(
                guided_output(model, grammar, strategy, batch, **batch.inputs, output_attentions=True), expected, batch
            )


@EVERY
def test_weights_under_full_are_the_stock_model_s(name):
    model = build(name)
    for batch in (PADDED["left"], PADDED["none"]):
        with torch.no_grad():
            model.set_attn_implementation("eager")
            expected = model(**batch.inputs, output_attentions=True).attentions
            model.set_attn_implementation("sdpa")
            with grammask.attached(model, "paper", "full"):
                found = model(**batch.inputs, output_attentions=True).attentions
        for one, other in zip(found, expected, strict=True):
            close(one.transpose(1, 2), other.transpose(1, 2), batch)


@pytest.mark.parametrize("name", ["bert", "llama", "mistral", "modernbert", "qwen2"])
@pytest.mark.parametrize(("strategy", "backend"), [("hard", "mixed"), ("hard", "dense"), ("soft", "biased")])
@pytest.mark.usefixtures("width")
def test_gradients_equal_the_oracle(name, strategy, backend):
    model, batch, grammar = build(name).double(), PADDED["left"], GRAMMARS["mixed"]

    def gradients(output):
        found = torch.autograd.grad(loss(output, batch), list(model.parameters()), allow_unused=True)
        return torch.cat([grad.flatten() for grad in found if grad is not None])

    expected = gradients(oracle_output(model, grammar, strategy, batch))
    found = gradients(guided_output(model, grammar, strategy, batch, backend=backend))
    assert (found - expected).norm() < (2e-6 if strategy == "soft" else 1e-12) * expected.norm()


@pytest.mark.parametrize("name", ["llama", "mistral", "modernbert"])
@pytest.mark.parametrize("backend", ["dense", "biased"])
@pytest.mark.parametrize("per", ["layer", "head"])
@pytest.mark.usefixtures("width")
def test_learned_strengths_equal_the_oracle(name, backend, per):
    model, batch, grammar = build(name).double(), PADDED["left"], GRAMMARS["sorted"]
    grammask.attach(model, grammar, "soft", learn_strengths=per, backend=backend)
    table = model.grammask_strengths.table
    torch.nn.init.normal_(table)
    found = model(**batch.everything)[0]
    (gradient,) = torch.autograd.grad(loss(found, batch), table)
    learned = table.detach().clone().requires_grad_()
    grammask.detach(model)
    expected = oracle_output(model, grammar, "soft", batch, learned=learned)
    close(found, expected, batch, atol=1e-8)
    (wanted,) = torch.autograd.grad(loss(expected, batch), learned)
    assert wanted.norm() > 1
    torch.testing.assert_close(gradient, wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["llama", "mistral", "modernbert"])
@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.usefixtures("width")
def test_bfloat16_is_as_near_as_the_oracle_is(name, strategy):
    model, batch, grammar = build(name), PADDED["left"], GRAMMARS["mixed"]
    with torch.no_grad():
        exact = oracle_output(model, grammar, strategy, batch)
        model = model.to(torch.bfloat16)
        spelled = oracle_output(model, grammar, strategy, batch)
        found = guided_output(model, grammar, strategy, batch, backend=fitting_backends(grammar, strategy)[2])
    assert found.dtype == torch.bfloat16

    def error(states):
        return real(states.float() - exact, batch).square().mean().sqrt()

    assert error(found) < 1.5 * error(spelled)


class Largest(TorchDispatchMode):
    """Records whether any result is as large as a mask of all pairs."""

    def __init__(self, length):
        super().__init__()
        self.length, self.found = length, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.shape[-2:] == (self.length, self.length):
            self.found.append(function)
        return result


@pytest.mark.parametrize("name", ["llama", "mistral", "modernbert", "qwen2"])
@pytest.mark.parametrize(("strategy", "backend"), [("hard", "sorted"), ("soft", "biased")])
@pytest.mark.parametrize("left", [True, False])
def test_no_mask_of_all_pairs_is_made(name, strategy, backend, left, monkeypatch):
    length = 700  # beyond what is taken for narrow
    batch = random_batch((length, 90))
    batch = left_padded(batch) if left else batch
    model = build(name, num_hidden_layers=3)
    grammask.attach(model, "paper", strategy, backend=backend)
    monkeypatch.setattr(model_mask, "sdpa_mask", None)
    monkeypatch.setattr(PositionMask, "allowed", None)
    with torch.no_grad(), Largest(length) as largest:
        model(**batch.everything)
    assert not largest.found


def test_short_windows_of_a_long_text_equal_the_oracle():
    """Windows as they are, with no size patched: narrow ones of ModernBERT, wide ones of Mistral."""
    batch, grammar = left_padded(random_batch((1000, 700))), GRAMMARS["mixed"]
    for model in (build("modernbert", local_attention=128), build("mistral", sliding_window=700)):
        with torch.no_grad():
            expected = oracle_output(model, grammar, "hard", batch)
            close(guided_output(model, grammar, "hard", batch, backend="mixed"), expected, batch)


# What is more than causality and windows


def own_4d(batch):
    generator = torch.Generator().manual_seed(3)
    length = batch.inputs["input_ids"].shape[1]
    mask = torch.rand(len(batch.inputs["input_ids"]), 1, length, length, generator=generator) < 0.5
    return (mask | torch.eye(length, dtype=torch.bool)) & batch.inputs["attention_mask"].bool()[:, None, None]


def packed(batch):
    return torch.arange(batch.inputs["input_ids"].shape[1])[None] % 11


CHUNKED = {
    **GROUPED, "head_dim": 8, "attention_chunk_size": 8, "num_local_experts": 2, "intermediate_size_mlp": 48,
    "layer_types": ["chunked_attention", "full_attention", "chunked_attention"], "no_rope_layers": [1, 0, 1],
}  # fmt: skip


def dense_cases():
    for name in ("llama", "mistral", "modernbert"):
        batch = PADDED["right"]
        yield name, batch, {"input_ids": batch.inputs["input_ids"], "attention_mask": own_4d(batch)}
    for name in ("llama", "mistral", "qwen2", "gpt2"):
        batch = random_batch((31, 31))
        yield name, batch, {"input_ids": batch.inputs["input_ids"], "position_ids": packed(batch), "use_cache": False}
    yield "llama4_text", PADDED["left"], PADDED["left"].inputs


@pytest.mark.parametrize(("name", "batch", "inputs"), dense_cases())
def test_whatever_else_a_mask_says_takes_the_dense_path_and_says_so(name, batch, inputs, monkeypatch, caplog):
    monkeypatch.setitem(MODELS, "llama4_text", CHUNKED)
    model, grammar = build(name), GRAMMARS["mixed"]
    for strategy in ("hard", "soft"):
        with torch.no_grad(), caplog.at_level(logging.DEBUG, "grammask.attention.dispatch"):
            expected = oracle_output(model, grammar, strategy, batch, **inputs)
            grammask.attach(model, grammar, strategy)
            caplog.clear()
            found = model(**inputs, **batch.annotation)[0]
            grammask.detach(model)
        close(found, expected, batch)
        why = "dense: the model has a mask of its own that is more than padding, causality or a sliding window"
        assert why in caplog.text
        with pytest.raises(InputError, match="more than padding, causality or a sliding window"):
            guided_output(model, grammar, strategy, batch, backend=fitting_backends(grammar, strategy)[2], **inputs)


def test_packed_and_chunked_texts_are_the_stock_model_s_under_full(monkeypatch):
    monkeypatch.setitem(MODELS, "llama4_text", CHUNKED)
    for name, batch, inputs in dense_cases():
        model = build(name)
        with torch.no_grad():
            stock = model(**inputs)[0]
            assert torch.equal(guided_output(model, "paper", "full", batch, **inputs), stock)


def test_a_text_shorter_than_a_chunk_is_the_stock_model_s_under_full(monkeypatch):
    """There the stock model makes no mask: PyTorch's own causality is to another bit."""
    monkeypatch.setitem(MODELS, "llama4_text", CHUNKED)
    model, batch = build("llama4_text"), random_batch((6, 6))
    with torch.no_grad():
        assert torch.equal(guided_output(model, "paper", "full", batch), model(**batch.inputs)[0])
