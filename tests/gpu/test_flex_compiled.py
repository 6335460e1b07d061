"""The backend "flex", compiled for a GPU, equals the oracle: values, gradients, dtypes; and it never waits."""

import pytest
import torch
from helpers.attention_calls import GRAMMARS, draw, oracle_mask
from helpers.batches import left_padded, random_batch, with_new_words
from helpers.strategies import drawn_calls
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grammask
from grammask.attention.calibration import current
from grammask.attention.calibration.calibrate import calibrate_gpu
from grammask.attention.calibration.gpu import probes
from grammask.attention.calibration.gpu.rates import GpuRates
from grammask.attention.calibration.stored import read_rates
from grammask.attention.flex.attend_calls import flex_attention
from grammask.attention.mask_maker import with_new
from grammask.attention.plan import Plan
from grammask.attention.position_mask import FREE, PositionMask
from grammask.attention.reference import reference_attention
from grammask.errors import InputError
from grammask.grammar.tags import NAMED, PAD

HEADS, HEAD_DIM = 4, 16
POSITIONS = (FREE, PositionMask(causal=True), PositionMask(window=(3, 20)), PositionMask(True, (150, 0)))


def there(batch):
    return {name: ids.cuda() for name, ids in batch.annotation.items()}


def compare(
    grammar, strategy, batch, *, position=FREE, layer=0, heads=HEADS, key_heads=None, queries=None,
    dtype=torch.float32, atol=1e-4, head_dim=HEAD_DIM,
):  # fmt: skip
    """Hold values and gradients on the GPU against the oracle in float64 on the CPU."""
    drawn = draw(batch, heads=heads, key_heads=key_heads, head_dim=head_dim)
    queries = queries or drawn[0].shape[2]
    rounded = [tensor.detach().to(dtype) for tensor in drawn]
    query, key, value, weight = rounded[0][:, :, -queries:], *rounded[1:3], rounded[3][:, :, -queries:]
    real = (batch.annotation["tag_ids"] != PAD)[:, None, -queries:, None]
    exact = [tensor.double().requires_grad_() for tensor in (query, key, value)]
    shared = [tensor.repeat_interleave(heads // tensor.shape[1], 1) for tensor in exact[1:]]
    mask = oracle_mask(grammar, strategy, batch, layer=layer, heads=heads, position=position, queries=queries)
    expected, _ = reference_attention(exact[0], *shared, mask, scale=head_dim**-0.5)
    wanted = torch.autograd.grad((expected * weight.double() * real).sum(), exact)
    inputs = [tensor.cuda().requires_grad_() for tensor in (query, key, value)]
    found = grammask.grammar_attention(
        *inputs, **there(batch), grammar=grammar, strategy=strategy, layer=layer, backend="flex",
        attention_mask=batch.inputs["attention_mask"].cuda(), causal=position.causal, window=position.window,
    )  # fmt: skip
    assert found.dtype == dtype
    assert found.isfinite().all()
    near(found.cpu() * real, expected * real, atol)
    grads = torch.autograd.grad((found * weight.cuda() * real.cuda()).sum(), inputs)
    for grad, wish in zip(grads, wanted, strict=True):
        near(grad.cpu(), wish, atol)


def near(found, wish, atol):
    """Compare, relative to the largest number: gradients of long texts are sums of many."""
    torch.testing.assert_close(found.double(), wish, atol=atol * max(1.0, float(wish.abs().max())), rtol=0)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_values_and_gradients_are_exact(name, strategy):
    batch = with_new_words(random_batch((300, 129)), 0.1)
    compare(GRAMMARS[name], strategy, batch)
    compare(GRAMMARS[name], strategy, left_padded(batch), key_heads=2, position=POSITIONS[3])
    compare(GRAMMARS[name], strategy, left_padded(batch), heads=6, key_heads=2, queries=131, position=POSITIONS[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_short_dtypes_are_exact_to_their_own_rounding(dtype):
    for name in ("mixed", "sorted"):
        for strategy in ("hard", "soft"):
            compare(GRAMMARS[name], strategy, random_batch((700, 77)), dtype=dtype, atol=1e-2, head_dim=64)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(*drawn_calls, st.sampled_from(POSITIONS))
def test_drawn_grammars_are_exact(grammar, lengths, seed, layer, strategy, position):
    compare(grammar, strategy, random_batch(lengths, seed=seed), layer=layer, position=position)


@pytest.mark.parametrize("table_heads", [1, HEADS])
def test_learned_strengths_get_their_gradients(table_heads):
    batch, grammar = with_new_words(random_batch((140, 40))), GRAMMARS["mixed"]
    query, key, value, weight = draw(batch, dtype=torch.float32, heads=HEADS, head_dim=HEAD_DIM)
    annotation, mask = there(batch), batch.inputs["attention_mask"].cuda()
    learned = torch.randn(1, table_heads, len(NAMED), len(NAMED)).cuda().requires_grad_()
    made = grammask.make_plan(grammar, **annotation, attention_mask=mask, strategy="soft", heads=HEADS)
    plan = Plan(
        made.annotation, strategy="soft", layer_tables=made.layer_tables, learned=learned, grammar=grammar,
        shape=made.shape,
    )  # fmt: skip
    real = (annotation["tag_ids"] != PAD)[:, None, :, None]
    inputs = [tensor.detach().cuda().requires_grad_() for tensor in (query, key, value)]
    calls = plan.flex_calls(0, FREE, query.shape[2])
    found = flex_attention(*inputs, calls, scale=HEAD_DIM**-0.5, strengths=with_new(learned[0]))
    bias = plan.mask(0, plan.padding, torch.float32)
    expected, _ = reference_attention(*inputs, bias, scale=HEAD_DIM**-0.5)
    near(found * real, (expected * real).double(), 1e-4)
    weight = weight.detach().cuda()
    grads, wanted = (
        torch.autograd.grad((output * weight * real).sum(), (inputs[0], learned)) for output in (found, expected)
    )
    for grad, wish in zip(grads, wanted, strict=True):
        near(grad, wish.double(), 1e-4)


def test_nothing_is_compiled_for_a_batch():
    def run(lengths):
        compare(GRAMMARS["mixed"], "hard", random_batch(lengths))

    for lengths in ((300, 129), (517, 40, 7), (300,)):  # one text is a kind of its own
        run(lengths)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for lengths in ((400, 20), (700, 131, 5, 2), (256, 256), (1025,)):
        run(lengths)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("name", ["sorted with sinks", "mixed", "banded by sentence", "a table for each head"])
def test_nothing_waits_for_the_gpu(name, strategy):
    batch = random_batch((300, 20))
    options = {
        **there(batch), "attention_mask": batch.inputs["attention_mask"].cuda(), "grammar": GRAMMARS[name],
        "strategy": strategy, "backend": "flex", "causal": True,
    }  # fmt: skip
    query = torch.randn(2, 3, 300, HEAD_DIM, device="cuda", requires_grad=True)
    grammask.grammar_attention(query, query, query, **options).sum().backward()  # compiles, moves the tables
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        grammask.grammar_attention(query, query, query, **options).sum().backward()
        with pytest.raises(RuntimeError, match="synchron"):  # as anything would that reads
            bool(options["tag_ids"].any())
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_small_heads_are_refused_by_name():
    batch = random_batch((20,))
    inputs = [tensor.detach().cuda() for tensor in draw(batch, dtype=torch.float32, head_dim=8)[:3]]
    with pytest.raises(InputError, match=r"'flex' cannot be used here: FlexAttention takes no heads of fewer than 16"):
        grammask.grammar_attention(*inputs, **there(batch), grammar="paper", backend="flex")


def test_float64_is_refused_by_name():
    batch = random_batch((20,))
    inputs = [tensor.detach().cuda() for tensor in draw(batch, head_dim=HEAD_DIM)[:3]]
    with pytest.raises(InputError, match="computes float16, bfloat16, float32 on cuda, but not torch.float64"):
        grammask.grammar_attention(*inputs, **there(batch), grammar="paper", backend="flex")


def test_auto_goes_by_what_was_measured_on_the_card(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path))
    monkeypatch.delenv(current.SWITCH, raising=False)
    current.forget_rates()
    # Others are compiled besides. Of fewer than these, pairs may seem to cost nothing.
    few = [("paper", 2, 512), ("paper", 4, 16384), ("mixed", 2, 512), ("mixed", 2, 4096)]
    monkeypatch.setattr(probes, "_FLEX", tuple((name, "hard", *sizes, 64, FREE) for name, *sizes in few))
    try:
        done = calibrate_gpu(torch.bfloat16)
        assert done.path.is_file()
        assert vars(read_rates(done.machine, GpuRates)) == vars(done.rates)
        query = torch.randn(2, 4, 4096, 64, device="cuda", dtype=torch.bfloat16)
        batch = random_batch((4096, 3000))
        options = {
            **there(batch), "grammar": GRAMMARS["mixed"], "attention_mask": batch.inputs["attention_mask"].cuda(),
        }  # fmt: skip
        plan = grammask.make_plan(**options, heads=4)
        choice = grammask.explain_dispatch(plan, heads=4, head_dim=64, device="cuda", dtype=torch.bfloat16)
        assert choice.rates == "measured on this card"
        if choice.sparse_ms is not None:
            assert (choice.backend == "flex") == (choice.dense_ms > 1.1 * choice.sparse_ms)
        real = (options["attention_mask"] == 1)[:, None, :, None]
        outputs = [
            grammask.grammar_attention(query, query, query, **options, plan=plan, backend=backend) * real
            for backend in ("auto", "dense")
        ]
        near(outputs[0], outputs[1].double(), 1e-2)
    finally:
        current.forget_rates()
