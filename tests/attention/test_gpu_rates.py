"""What calls cost on a GPU: counted, fitted, kept; and dispatch there, which goes by what was measured on the card."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.attention_calls import GRAMMARS
from helpers.batches import random_batch
from helpers.gpu_rates import gpu_rates
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

import grammask
from grammask.attention import dispatch
from grammask.attention.calibration import calibrate, current
from grammask.attention.calibration.count import Shape
from grammask.attention.calibration.defaults import default_rates
from grammask.attention.calibration.fit import fit_prices
from grammask.attention.calibration.gpu import measure, probes
from grammask.attention.calibration.gpu.count import (
    _typical,
    count_call,
    counted_length,
    flex_parts,
    flex_plan_parts,
    typical_calls,
)
from grammask.attention.calibration.gpu.rates import WIDEST
from grammask.attention.calibration.rates import PassRates, Rates
from grammask.attention.calibration.stored import Machine, check_plausible, read_rates, write_rates
from grammask.attention.flex.side import BLOCK
from grammask.attention.plan import Plan
from grammask.attention.position_mask import FREE, PositionMask
from grammask.errors import InputError

CARD = "NVIDIA H100 80GB HBM3"
CUDA = {"device": "cuda", "heads": 12, "head_dim": 64}
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


@pytest.fixture
def measured(monkeypatch):
    """Let a GPU be measured, whose FlexAttention is fast; call it with other rates for another one."""

    def use(rates):
        monkeypatch.setattr(dispatch, "gpu_rates_for", lambda dtype, device: rates)

    use(gpu_rates())
    return use


def plan_of(grammar="mixed", length=4096, *, strategy="hard", heads=12):
    return grammask.make_plan(
        grammar, tag_ids=torch.arange(length)[None] % 17, strategy=strategy, heads=heads,
        layers=max(1, grammask.load_grammar(grammar).layers_named),
    )  # fmt: skip


def test_it_takes_flex_where_that_was_measured_to_be_cheaper(measured):
    choice = grammask.explain_dispatch(plan_of(), **CUDA)
    assert (choice.backend, choice.reason, choice.rates) == ("flex", "cheaper than dense", "measured on this card")
    assert choice.dense_ms > choice.sparse_ms > 0
    measured(gpu_rates(flex_score=1.0))
    choice = grammask.explain_dispatch(plan_of(), **CUDA)
    assert (choice.backend, choice.reason) == ("dense", "the blocks of this grammar would cost as much or more")
    measured(gpu_rates(start=1e9))
    assert grammask.explain_dispatch(plan_of(), **CUDA).reason == "1 x 4096 tokens are too few for anything else"
    named = grammask.explain_dispatch(plan_of(), **CUDA, backend="flex")
    assert (named.backend, named.reason) == ("flex", "asked for")
    assert named.sparse_ms > 1000


def test_longer_texts_training_and_planning_cost_more(measured):
    def choice(length=4096, **options):
        return grammask.explain_dispatch(plan_of(length=length), **CUDA, **options)

    for other in (choice(8192), choice(training=True)):
        assert other.dense_ms > choice().dense_ms
        assert other.sparse_ms > choice().sparse_ms
    given, alone = plan_of(), plan_of()
    alone.is_given = False
    given, alone = (grammask.explain_dispatch(plan, **CUDA) for plan in (given, alone))
    assert alone.sparse_ms > given.sparse_ms
    assert alone.dense_ms > given.dense_ms


def test_what_it_cannot_do_stays_dense(measured):
    assert grammask.explain_dispatch(plan_of(), **CUDA, drops=True).reason == "FlexAttention has no attention dropout"
    narrow = {**CUDA, "head_dim": 8}
    assert "no heads of fewer than 16 numbers" in grammask.explain_dispatch(plan_of(), **narrow).reason
    soft = plan_of("paper", strategy="soft")
    learned = Plan(
        soft.annotation, strategy="soft", layer_tables=soft.layer_tables, learned=torch.zeros(1, 1, 17, 17),
        grammar=soft.grammar, shape=soft.shape,
    )  # fmt: skip
    reason = grammask.explain_dispatch(learned, **CUDA, training=True).reason
    assert reason == "a training of learned strengths isn't measured on cuda; ask for flex by name"
    assert grammask.explain_dispatch(learned, **CUDA).dense_ms is not None


def test_wider_heads_than_were_measured_stay_dense(measured):
    """Their kernels may need more of a card's shared memory than there is, and then cannot be compiled."""
    assert max(made[4] for made in probes._FLEX) == WIDEST
    choices = [grammask.explain_dispatch(plan_of(), **{**CUDA, "head_dim": wide}) for wide in (WIDEST, WIDEST + 1)]
    assert [choice.backend for choice in choices] == ["flex", "dense"]
    assert choices[1].reason == "heads of more than 128 numbers aren't measured on cuda; ask for flex by name"
    half = grammask.explain_dispatch(plan_of(), **CUDA, dtype=torch.float16)
    assert half.reason == "float16 isn't measured on cuda; ask for flex by name"


def test_a_cpu_is_not_asked(measured):
    measured(gpu_rates(flex_score=1.0))
    assert "cuda" not in str(grammask.explain_dispatch(plan_of(), heads=12, head_dim=64))


@pytest.mark.parametrize("position", [FREE, PositionMask(causal=True)], ids=["free", "causal"])
@pytest.mark.parametrize("grammar", ["paper", "mixed", "minilm-heads", "names-far"])
@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_blocks_are_counted(grammar, strategy, position):
    plan = plan_of(grammar, 700, strategy=strategy)
    calls = plan.flex_calls(0, position, 700)
    shape = Shape(3, 12, 6, 700, 32)
    counted = [count_call(call) for call in calls]
    parts = flex_parts(counted, shape)
    masked = full = 0
    for call in calls:
        for head in range(12):
            at = head % call.blocks.kv_num_blocks.shape[1]
            masked += int(call.blocks.kv_num_blocks[0, at].sum())
            full += int(call.blocks.full_kv_num_blocks[0, at].sum())
    assert parts.masked == pytest.approx(3 * masked * BLOCK**2)
    assert parts.scores == pytest.approx(3 * (masked + full) * BLOCK**2)
    assert parts.products == pytest.approx(32 * parts.scores)
    assert parts.calls == len(calls) == (2 if strategy == "hard" and grammar in ("mixed", "names-far") else 1)
    assert parts.merged == 3 * 12 * 700 * 32 * (len(calls) - 1)
    reorders = strategy == "hard" and grammar != "minilm-heads"
    assert parts.copied == (3 * 700 * 32 * (2 * 12 + 2 * 6) if reorders else 0)  # there and back, keys and values
    looks_up = {"soft": parts.scores, "hard": parts.masked if grammar == "minilm-heads" else 0}  # it has many reaches
    assert parts.looked_up == pytest.approx(looks_up[strategy])
    made = flex_plan_parts(counted, shape)
    assert made.blocks == 3 * sum(call.blocks.kv_indices[0].numel() for call in calls)
    assert made.tokens == 3 * 1400 * len(calls)


def test_typical_text_is_counted_once_and_scaled(monkeypatch):
    plan, shape = plan_of("paper", 1024), Shape(1, 12, 12, 1024, 64)
    rules = plan.layer_tables[0], plan.lookup(0).reaches, "hard", FREE
    found = typical_calls(*rules, shape)
    assert 0.2 < found[0].masked + found[0].full < 1
    monkeypatch.setattr("grammask.attention.calibration.gpu.count.count_call", None)  # nothing is counted anew
    assert typical_calls(*rules, shape) is found
    assert typical_calls(*rules, shape._replace(batch=8, length=1000)) is found
    double = flex_parts(found, shape._replace(batch=2)).numbers
    np.testing.assert_allclose(double[1:], 2 * np.array(flex_parts(found, shape).numbers[1:]))


@pytest.mark.parametrize(
    "mode", [FakeTensorMode, lambda: torch.autocast("cpu", dtype=torch.bfloat16), lambda: torch.device("meta")]
)
def test_typical_text_is_counted_alike_under_any_mode(mode):
    plan, shape = plan_of("mixed", 1024), Shape(1, 12, 12, 1024, 64)
    rules = plan.layer_tables[0], plan.lookup(0).reaches, "hard"
    expected = typical_calls(*rules, PositionMask(causal=True), shape)
    _typical.cache_clear()
    with mode():
        assert typical_calls(*rules, PositionMask(causal=True), shape) == expected


def test_queries_may_be_the_last_ones():
    plan = plan_of("names-far", 4096)
    rules = plan.layer_tables[0], plan.lookup(0).reaches, "hard", PositionMask(causal=True)
    shape = Shape(1, 12, 12, 4096, 64)
    whole, last = (flex_parts(typical_calls(*rules, at), at) for at in (shape, shape._replace(queries=256)))
    assert 0 < last.scores < whole.scores / 6  # a sixteenth of the queries, of which each reads twice the mean
    assert typical_calls(*rules, shape._replace(queries=1))


@given(st.integers(1, 1 << 20))
def test_few_lengths_are_counted(length):
    found = counted_length(length)
    assert found % BLOCK == 0
    assert found <= 1 << 14
    if length <= 1 << 14:
        assert length <= found < length + max(BLOCK, length / 8)


def test_probes_hold_each_part(monkeypatch):
    monkeypatch.setattr(probes, "attention_call", lambda *_, **__: lambda attention: attention)
    for made in (
        probes.flex_probes(torch.float32, "forward", "cpu"), probes.dense_probes(torch.float32, "forward", "cpu"),
        probes.mask_probes(torch.float32, "cpu"), probes.plan_probes("cpu"),
    ):  # fmt: skip
        counted = np.array([probe.parts.numbers for probe in made])
        held = dict(zip(made[0].parts.names(), counted.any(0), strict=True))
        for left_out in ("gathered", "tiles", "loads"):  # of learned strengths, which aren't measured, and of the CPU
            held.pop(left_out, None)
        assert all(held.values()), held


@pytest.mark.parametrize("launch", [1e4, 8e4])
def test_pairs_have_a_price_where_short_calls_take_as_long_as_their_launch(launch, monkeypatch):
    monkeypatch.setattr(probes, "attention_call", lambda *_, **__: lambda attention: attention)
    dense, flex = (
        [probe.parts for probe in made(torch.bfloat16, "forward", "cpu")]
        for made in (probes.dense_probes, probes.flex_probes)
    )
    taken = [max(launch, 1e-5 * parts.products + 2e-3 * parts.masked) for parts in dense]
    taken += [max(6 * launch * parts.calls, 1.4e-5 * parts.products + 2e-3 * parts.masked) for parts in flex]
    fitted = PassRates(*fit_prices(dense, flex, taken))
    check_plausible(replace(gpu_rates(), forward=fitted, training=fitted), "fitted")


def test_rates_come_out_of_a_measurement(monkeypatch):
    small = [("paper", "hard", 2, 150, 16, FREE), ("mixed", "hard", 2, 300, 16, FREE)]
    monkeypatch.setattr(measure, "_IN_A_ROW", 1)
    monkeypatch.setattr(probes, "_FLEX", (*small, ("paper", "soft", 2, 140, 16, FREE)))
    monkeypatch.setattr(probes, "_DENSE", tuple(small))
    rates = measure.measure_pass(torch.float32, "forward", "cpu")  # FlexAttention has no backward pass there
    for prices in (rates.dense, rates.sparse):
        assert all(price >= 0 for price in prices.numbers)
        assert any(price > 0 for price in prices.numbers)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Let a card be there that keeps its rates in a cache of its own."""
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path))
    monkeypatch.delenv(current.SWITCH, raising=False)
    monkeypatch.setattr(current, "_card", lambda device: CARD if device.type == "cuda" else None)
    current.forget_rates()
    yield Machine.of_gpu(torch.bfloat16, CARD)
    current.forget_rates()


def test_rates_are_kept_for_a_card_and_a_dtype(cache):
    write_rates(cache, gpu_rates())
    there = torch.device("cuda", 0)
    assert vars(current.gpu_rates_for(torch.bfloat16, there)) == vars(gpu_rates())
    assert current.gpu_rates_for(torch.float32, there) is None
    assert current.gpu_rates_for(torch.bfloat16, torch.device("mps")) is None
    assert current.rates_in_use(["bfloat16", "float32"], [1], "cuda") == {
        "bfloat16": "measured on this card", "float32": "unmeasured",
    }  # fmt: skip
    choice = grammask.explain_dispatch(plan_of(), **CUDA, dtype=torch.bfloat16)
    assert (choice.backend, choice.rates) == ("flex", "measured on this card")


def test_cards_are_told_apart(monkeypatch):
    names = ["Card 0", "Card 1"]
    for name, found in {
        "is_available": lambda: True, "device_count": lambda: 2, "current_device": lambda: 1,
        "get_device_name": lambda card: names[card],
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, found)
    monkeypatch.setattr(current, "_name", current._name.__wrapped__)
    assert [current._card(torch.device(name)) for name in ("cuda", "cuda:0", "cuda:1", "cpu")] == [
        "Card 1", "Card 0", "Card 1", None,
    ]  # fmt: skip
    choice = grammask.explain_dispatch(plan_of(), **{**CUDA, "device": "cuda:7"})  # there is none
    assert "measure first" in choice.reason


def test_what_cannot_be_is_neither_used_nor_kept(cache, monkeypatch):
    rates = gpu_rates()
    free = replace(rates, training=replace(rates.training, sparse=rates.training.sparse.times(scores=0, products=0)))
    monkeypatch.setattr(calibrate, "measure_gpu_rates", lambda dtype, device: free)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: CARD)
    with pytest.raises(InputError, match=f"what was measured on {CARD}: a million pairs of a training pass"):
        calibrate.calibrate_gpu(torch.bfloat16)
    assert current.gpu_rates_for(torch.bfloat16, torch.device("cuda")) is None
    assert not cache.file.exists()


def test_the_switch_leaves_them_unread(cache, monkeypatch):
    write_rates(cache, gpu_rates())
    monkeypatch.setenv(current.SWITCH, "0")
    assert current.gpu_rates_for(torch.bfloat16, torch.device("cuda")) is None


def damaged(data, how):
    if how == "a price below 0":
        data["rates"]["plans"]["calls"] = -1.0
    elif how == "an unknown part":
        data["rates"]["forward"]["sparse"]["more"] = 1.0
    elif how == "free pairs":
        data["rates"]["training"]["sparse"] |= {"scores": 0.0, "products": 0.0}
    else:
        data["machine"]["processor"] = "another"
    return data


@pytest.mark.parametrize("how", ["a price below 0", "an unknown part", "free pairs", "another card"])
def test_rates_that_cannot_be_trusted_are_not_used(how, cache, caplog):
    path = write_rates(cache, gpu_rates())
    path.write_text(json.dumps(damaged(json.loads(path.read_text(encoding="utf-8")), how)), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert current.gpu_rates_for(torch.bfloat16, torch.device("cuda")) is None
    assert str(path) in caplog.text
    assert "measure again with grammask bench --calibrate --device cuda" in caplog.text


def test_rates_of_a_processor_are_none_of_a_card(cache):
    path = write_rates(cache, default_rates(torch.bfloat16, 1))
    assert read_rates(cache, Rates) is not None
    assert current.gpu_rates_for(torch.bfloat16, torch.device("cuda")) is None
    assert path.exists()


def test_a_mask_that_is_more_than_padding_stays_dense_on_a_measured_device(measured, monkeypatch):
    """As on the CPU: what the model's own mask blocks besides must not be lost."""
    seen = []
    monkeypatch.setattr("grammask.attention.functional.choose_backend", lambda plan, call: seen.append(call) or 1 / 0)
    monkeypatch.setattr("grammask.attention.functional.is_measured", lambda device, dtype: True)
    batch = random_batch((40,))
    plan = grammask.make_plan(GRAMMARS["mixed"], **batch.annotation, heads=2)
    query = torch.randn(1, 2, 40, 16)
    own = torch.ones(1, 1, 40, 40, dtype=torch.bool).tril()
    with pytest.raises(ZeroDivisionError):
        grammask.attention.functional.attend(query, query, query, plan, 0, own, scale=0.1, dropout=0.0, backend="auto")
    assert "more than padding" in seen[0].obstacle
