"""What calls cost on this machine: counting, fitting, keeping and reading; and a choice that hangs on nothing else."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.batches import random_batch
from hypothesis import given
from hypothesis import strategies as st

import grammask
from grammask.attention import dispatch
from grammask.attention.calibration import calibrate, current, measure
from grammask.attention.calibration.count import Shape, dense_parts, mask_parts, plan_parts, sparse_parts
from grammask.attention.calibration.defaults import default_rates
from grammask.attention.calibration.fit import fit_prices, nonnegative_least_squares
from grammask.attention.calibration.instructions import instructions
from grammask.attention.calibration.made_up import mask_probes, plan_probes, unmade
from grammask.attention.calibration.parts import MaskParts, PlanParts
from grammask.attention.calibration.probes import dense_probes, sparse_probes
from grammask.attention.calibration.rates import PASSES, Rates
from grammask.attention.calibration.stored import Machine, read_rates, write_rates
from grammask.attention.position_mask import FREE, PositionMask
from grammask.errors import InputError
from grammask.grammar.file import load_grammar, shipped_grammars


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Let this process read what was measured, in a cache of its own."""
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path))
    monkeypatch.delenv(current.SWITCH)
    current.forget_rates()
    yield Machine.here(torch.float32, 1)
    current.forget_rates()


def plan_of(grammar="paper", length=1024, *, layers=1, strategy="hard"):
    annotation = random_batch((length,)).annotation
    return grammask.make_plan(grammar, **annotation, strategy=strategy, layers=layers, heads=12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(0, 12))
def test_least_squares_is_never_negative_and_cannot_be_bettered(seed, columns, more):
    generator = np.random.default_rng(seed)
    matrix = generator.random((columns + more, columns))
    target = generator.normal(size=len(matrix))
    x = nonnegative_least_squares(matrix, target)
    gradient = matrix.T @ (target - matrix @ x)
    assert (x >= 0).all()
    assert (gradient <= 1e-6).all()  # no number should grow
    assert np.abs(gradient[x > 0]).max(initial=0) < 1e-6  # nor shrink


@pytest.mark.parametrize("shared", [(), ("pairs", "cells")])
def test_prices_are_found_again(shared):
    masks, plans = MaskParts(3e5, 0.5, 1.5, 4.0, 2.0), PlanParts(4e5, 20.0, 5e4, 1e5, 2e5, 0.5, 2.0)
    counts = np.random.default_rng(0).random((40, 12)) * 1e6
    first, second = [MaskParts(*row[:5]) for row in counts[:20]], [PlanParts(*row[5:]) for row in counts[20:]]
    taken = [count.ms(masks) * 1e6 for count in first] + [count.ms(plans) * 1e6 for count in second]
    found = fit_prices(first, second, taken, shared=shared)
    for prices, wanted in zip(found, (masks, plans), strict=True):
        np.testing.assert_allclose(prices.numbers, wanted.numbers, rtol=1e-6)


def test_shared_parts_have_one_price():
    # The second kind of work has no count of its own that would tell pairs and cells apart.
    first = [MaskParts(1, pairs, 0, 0, heads * pairs) for pairs in (1e4, 1e6) for heads in (1, 12)]
    second = [PlanParts(1, 0, 0, 0, 0, pairs, pairs) for pairs in (1e5, 1e6)]
    masks, plans = MaskParts(3e5, 0.5, 0, 0, 2.0), PlanParts(4e5, 0, 0, 0, 0, 0.5, 2.0)
    taken = [count.ms(masks) * 1e6 for count in first] + [count.ms(plans) * 1e6 for count in second]
    _, found = fit_prices(first, second, taken, shared=("pairs", "cells"))
    np.testing.assert_allclose(found.numbers, plans.numbers, rtol=1e-6)


def test_all_pairs_of_a_plan_are_counted():
    shape = Shape(1, 12, 12, 600, 64)
    for grammar in ("paper", "mixed", "banded"):
        plan = plan_of(grammar, 600)
        groups = plan.block_groups(0)
        parts = sparse_parts(groups, shape, torch.float32, drops=False)
        assert parts.scores == 12 * sum(block.pairs for group in groups for block in group.blocks)
        assert parts.products == 64 * parts.scores
        assert parts.groups >= len(groups)
        made = plan_parts(groups, plan.strategy)
        assert made.texts == 1
        assert made.tokens >= 1200  # queries and keys
        assert made.hard == made.bands
        assert (made.bands > 0) == (grammar != "paper")
    shared = sparse_parts(groups, shape._replace(key_heads=3), torch.float32, drops=False)
    assert shared.copied_keys == parts.copied_keys / 4  # keys are never repeated
    dense = dense_parts(shape, mask_heads=1)
    assert (dense.scores, dense.masked, dense.gathered) == (12 * 600**2, 12 * 600**2, 0)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("position", [FREE, PositionMask(causal=True), PositionMask(window=(9, 0))])
def test_masks_are_counted_with_the_models_own(strategy, position):
    plan = plan_of("mixed", 100, strategy=strategy)
    parts = mask_parts(plan, mask_heads=12, rows=40, position=position)
    hard, placed = (4000 if strategy == "hard" else 0), (0 if position.is_free else 4000)
    assert parts.numbers == (1, 4000, hard, placed, 48_000)


def test_a_soft_band_is_no_hard_one():
    made = plan_parts(plan_of("minilm-heads", 600, layers=6, strategy="soft").block_groups(0), "soft")
    assert made.bands > 0
    assert made.hard == 0


def test_what_blocks_merge_is_counted():
    shape = Shape(1, 12, 12, 1500, 64)
    plan = plan_of("paper", 1500)
    free, causal = (
        sparse_parts(plan.block_groups(0, position), shape, torch.float32, drops=False)
        for position in (FREE, PositionMask(causal=True))
    )
    assert free.merged == 0 < causal.merged


@pytest.mark.parametrize("kind", PASSES)
def test_probes_run_and_each_part_is_in_some(kind):
    for probes in (sparse_probes(torch.float32, kind, heads=2), dense_probes(torch.float32, kind, heads=2)):
        for probe in probes[:3]:
            probe.call()
        counted = np.array([probe.parts.numbers for probe in probes]).any(0)
        assert counted.all(), dict(zip(probes[0].parts.names(), counted, strict=True))


def test_probes_of_planning_run():
    for probes in (mask_probes(torch.float32), plan_probes()):
        for probe in probes:
            probe.call()
            assert all(number > 0 for number in probe.parts.numbers[:2])
        counted = np.array([probe.parts.numbers for probe in probes])
        assert np.linalg.matrix_rank(counted / np.linalg.norm(counted, axis=0)) == counted.shape[1]


def test_rates_are_kept_and_used(measured):
    rates = replace(default_rates(torch.float32, 1), source="measured on this machine")
    assert read_rates(measured, Rates) is None
    path = write_rates(measured, rates)
    assert vars(read_rates(measured, Rates)) == vars(rates)
    assert measured.file == path
    assert current.rates_for(torch.float32, 1).source == "measured on this machine"
    assert current.rates_for(torch.float32, 2).source == f"defaults for {instructions()}"


def damage(path, change):
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


DAMAGE = {
    "no JSON": lambda path: path.write_text("{", encoding="utf-8"),
    "a list": lambda path: path.write_text("[]", encoding="utf-8"),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe"),
    "large": lambda path: path.write_text(" " * (1 << 17), encoding="utf-8"),
    "nan": lambda path: damage(path, lambda data: data["rates"]["forward"]["dense"].update(calls=float("nan"))),
    "negative": lambda path: damage(path, lambda data: data["rates"]["plans"].update(texts=-1.0)),
    "huge": lambda path: damage(path, lambda data: data["rates"]["masks"].update(cells=1e300)),
    "a missing part": lambda path: damage(path, lambda data: data["rates"]["masks"].pop("cells")),
    "an unknown part": lambda path: damage(path, lambda data: data["rates"]["masks"].update(more=1.0)),
    "no number": lambda path: damage(path, lambda data: data["rates"]["masks"].update(cells="x")),
    "a truth value": lambda path: damage(path, lambda data: data["rates"]["masks"].update(cells=True)),
    "a number in quotes": lambda path: damage(path, lambda data: data["rates"]["masks"].update(cells="3")),
    "a key twice": lambda path: path.write_text('{"format": 1, "format": 1}', encoding="utf-8"),
    "codes of a terminal": lambda path: damage(path, lambda data: data["rates"].update(source="\x1b[31mmeasured")),
    "several lines": lambda path: damage(path, lambda data: data["rates"].update(source="measured\nhere")),
    "no end": lambda path: damage(path, lambda data: data["rates"].update(source="measured " * 99)),
    "no work costs anything": lambda path: damage(
        path, lambda data: data["rates"]["training"]["sparse"].update(scores=0.0, products=0.0)
    ),
    "another machine": lambda path: damage(path, lambda data: data["machine"].update(processor="another")),
    "another format": lambda path: damage(path, lambda data: data.update(format=1)),
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGE)
def test_rates_that_cannot_be_trusted_are_not_used(how, measured, caplog):
    path = write_rates(measured, default_rates(torch.float32, 1))
    DAMAGE[how](path)
    with caplog.at_level(logging.WARNING):
        assert current.rates_for(torch.float32, 1).source == f"defaults for {instructions()}"
    assert str(path) in caplog.text
    assert "bench --calibrate" in caplog.text


def test_the_switch_leaves_the_cache_unread(measured, monkeypatch):
    write_rates(measured, replace(default_rates(torch.float32, 1), source="measured on this machine"))
    monkeypatch.setenv(current.SWITCH, "0")
    assert current.rates_for(torch.float32, 1).source.startswith("defaults")


def test_choices_hang_on_the_call_alone():
    options = {"heads": 12, "head_dim": 64}
    fresh = plan_of()
    first = grammask.explain_dispatch(fresh, **options)
    used = plan_of()
    used.block_groups(0)
    used.mask(0, None, torch.float32)
    for training in (True, False):
        grammask.explain_dispatch(used, **options, training=training)
    assert grammask.explain_dispatch(used, **options) == first == grammask.explain_dispatch(fresh, **options)


def test_planning_is_shared_by_layers_and_calls():
    plans = unmade(plan_of(layers=1)), unmade(plan_of(layers=6)), plan_of(layers=1)
    alone, shared, given = (grammask.explain_dispatch(plan, heads=12, head_dim=64) for plan in plans)
    assert given.dense_ms < shared.dense_ms < alone.dense_ms
    assert given.sparse_ms < shared.sparse_ms < alone.sparse_ms


def test_training_dropping_and_longer_texts_cost_more():
    def choice(length=1024, **options):
        return grammask.explain_dispatch(plan_of(length=length), heads=12, head_dim=64, **options)

    forward, training, dropping = choice(), choice(training=True), choice(training=True, drops=True)
    for side in ("dense_ms", "sparse_ms"):
        assert getattr(forward, side) < getattr(training, side) < getattr(dropping, side)
        assert getattr(forward, side) < getattr(choice(2048), side)
    # A recomputed pass may be without gradients, but must choose alike where weights are dropped.
    assert choice(drops=True) == dropping


def test_what_was_chosen_is_not_worked_out_again(monkeypatch):
    plan = plan_of()
    first = grammask.explain_dispatch(plan, heads=12, head_dim=64)
    monkeypatch.setattr(dispatch, "_choose", None)
    assert grammask.explain_dispatch(plan, heads=12, head_dim=64) is first


@pytest.mark.parametrize(("option", "value"), [("training", 1), ("dtype", torch.int64), ("key_heads", 5)])
def test_wrong_options_are_refused(option, value):
    with pytest.raises(grammask.GrammaskError, match=option):
        grammask.explain_dispatch(plan_of(length=20), heads=12, head_dim=64, **{option: value})


@pytest.fixture
def quick(monkeypatch):
    """Leave out what takes long: one kind of pass is like the other."""
    made = []

    def measured_rates(dtype):
        made.append((dtype, torch.get_num_threads()))
        return replace(default_rates(dtype, 1), source="measured on this machine")

    monkeypatch.setattr(calibrate, "measure_rates", measured_rates)
    return made


def tiny_bert():
    import transformers

    return transformers.BertModel(transformers.BertConfig(hidden_size=24, num_hidden_layers=2))


def test_attach_measures_once_and_says_so(measured, quick, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            grammask.attach(tiny_bert(), "paper")
    assert quick == [(torch.float32, torch.get_num_threads())]
    assert "measuring" in caplog.text
    assert str(Machine.here(torch.float32, torch.get_num_threads()).file) in caplog.text


@pytest.mark.parametrize(
    "options", [{"calibrate": False}, {"backend": "dense"}, {"strategy": "full"}], ids=["no", "dense", "full"]
)
def test_attach_measures_nothing_that_is_not_needed(measured, quick, options):
    grammask.attach(tiny_bert(), "paper", **options)
    assert not quick


def test_the_switch_and_other_dtypes_keep_attach_from_measuring(measured, quick, monkeypatch):
    grammask.attach(tiny_bert().double(), "paper")
    monkeypatch.setenv(current.SWITCH, "0")
    grammask.attach(tiny_bert(), "paper")
    assert not quick


@pytest.mark.parametrize("value", ["no", "false", "2", " 0"])
def test_a_switch_that_says_neither_yes_nor_no_is_refused(measured, quick, monkeypatch, value):
    monkeypatch.setenv(current.SWITCH, value)
    with pytest.raises(InputError, match=rf"\$GRAMMASK_CALIBRATE is '{value}', but must be 0 .* or 1"):
        grammask.attach(tiny_bert(), "paper")
    assert not quick


@pytest.mark.parametrize("value", ["no", 0, 1, "False"])
def test_an_argument_that_says_neither_yes_nor_no_is_refused(measured, quick, value):
    model = tiny_bert()
    with pytest.raises(InputError, match=f"calibrate must be True, False or None, but is {value!r}"):
        grammask.attach(model, "paper", calibrate=value)
    grammask.attach(model, "paper", calibrate=False)
    assert not quick


def test_a_forward_never_measures(measured, quick):
    query = torch.randn(1, 2, 40, 8)
    tags = random_batch((40,)).annotation["tag_ids"]
    grammask.grammar_attention(query, query, query, tag_ids=tags, grammar="paper")
    assert not quick
    assert not measured.file.parent.exists()


def test_rates_that_cannot_be_kept_hold_in_the_process(measured, quick, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        grammask.attach(tiny_bert(), "paper")
    assert len(quick) == 1
    assert "cannot be written" in caplog.text
    assert current.rates_for(torch.float32, torch.get_num_threads()).source == "measured on this machine"


def test_measuring_leaves_seeds_and_modes_alone(monkeypatch):
    monkeypatch.setattr(measure, "_ROUNDS", (1, 1))
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    with torch.inference_mode():
        rates = measure.measure_rates(torch.float32)
    assert torch.equal(torch.rand(3), wanted)
    assert rates.forward.sparse.numbers != rates.training.sparse.numbers


@pytest.mark.parametrize(("promise", "backend"), [(1.05, "dense"), (1.2, "sorted")])
def test_blocks_must_promise_enough(promise, backend, monkeypatch):
    estimates = {"dense_ms": promise, "sparse_ms": 1.0, "least_sparse_ms": 0.5, "starting_ms": 0.1}
    for name, ms in estimates.items():
        monkeypatch.setattr(dispatch.BlockEstimate, name, ms)
    assert grammask.explain_dispatch(plan_of(), heads=12, head_dim=64).backend == backend


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("lengths", [(24,), (300,), (700, 130)])
@pytest.mark.parametrize("grammar", shipped_grammars())
def test_the_least_that_blocks_cost_is_no_more_than_they_cost(grammar, lengths, strategy):
    batch, rules = random_batch(lengths), load_grammar(grammar)
    layers = max(rules.layers_named, 1)
    plan = grammask.make_plan(
        rules, **batch.annotation, attention_mask=batch.inputs["attention_mask"], strategy=strategy, layers=layers,
        heads=12,
    )  # fmt: skip
    shape, rates = Shape(len(lengths), 12, 12, max(lengths), 32), default_rates(torch.float32, 1)
    for trains in (False, True):
        estimate = dispatch.BlockEstimate(plan, 0, shape, torch.float32, trains=trains, drops=False, rates=rates)
        assert estimate.starting_ms <= estimate.least_sparse_ms <= estimate.sparse_ms


def test_blocks_that_promise_nothing_are_not_made(monkeypatch):
    plan = grammask.make_plan("minilm-heads", **random_batch((128,)).annotation, layers=6, heads=12)
    monkeypatch.setattr(plan, "block_groups", None)
    choices = {grammask.explain_dispatch(plan, heads=12, head_dim=32, layer=layer).backend for layer in range(6)}
    assert choices == {"dense"}
