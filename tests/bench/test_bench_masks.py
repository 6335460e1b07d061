"""Benchmarks under a model's own mask: every contender reads the same pairs, and densities count no others."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from helpers.batches import random_batch
from helpers.tokenizers_for_tests import tokenizer
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

import grammask.model.interface as interface
from grammask.bench import run
from grammask.bench.cases import Case, list_cases, memory_cases
from grammask.bench.contender import CannotRunError
from grammask.bench.levels.batch_facts import batch_facts
from grammask.bench.model_masks import pairs_computed, pairs_within, read_mask
from grammask.bench.models import BenchModel
from grammask.bench.operator_inputs import density, ideal_speedup, make_inputs
from grammask.bench.ours import ours
from grammask.bench.peers.flex_attention import mask_function
from grammask.bench.peers.sdpa import dense_masked, full
from grammask.bench.peers.streaming import FIRST, streaming, streaming_pairs
from grammask.bench.settings import load_grammars, make_bench_config
from grammask.cli import bench_table
from grammask.cli.app import app, run_plainly
from grammask.errors import ExperimentError
from grammask.grammar.file import load_grammar
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.rules import Reach, Rule

MASKS = ("none", "causal", "window-6", "causal-window-9")
LATER = Grammar("later", rules=(Rule(("NOUN", "VERB"), ("ADJ", "NOUN"), Reach("words", -2, 2), layers=(2,)),))
by_mask = pytest.mark.parametrize("mask", MASKS)


def inputs(length=40, *, grammar="paper", mask="none", strategy="hard", training=False, key_heads=1, layer=0):
    return make_inputs(
        random_batch((length, length)).annotation, grammar=load_grammar(grammar), strategy=strategy, training=training,
        layer=layer, mask=mask, heads=2, key_heads=key_heads, head_dim=8, dtype=torch.float32, seed=0,
    )  # fmt: skip


def own(mask, length):
    """The mask by its name, spelt out pair by pair."""
    offset = torch.arange(length) - torch.arange(length)[:, None]
    return {
        "none": offset == offset, "causal": offset <= 0, "window-6": offset.abs() <= 6,
        "causal-window-9": (offset <= 0) & (offset >= -9),
    }[mask]  # fmt: skip


@by_mask
@pytest.mark.parametrize("length", [1, 5, 40])
def test_a_mask_by_name(mask, length):
    position = read_mask(mask)
    assert torch.equal(position.allowed(length, length, torch.device("cpu")), own(mask, length))
    assert pairs_within(position, length) == own(mask, length).sum()
    assert pairs_computed(position, length) == (length * (length + 1) // 2 if mask == "causal" else length**2)


@by_mask
@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_density_counts_what_both_masks_allow(mask, strategy):
    given = inputs(mask=mask, strategy=strategy)
    both = own(mask, 40).expand(2, 1, 40, 40)
    if strategy == "hard":
        both = both & allowed_pairs(given.tables, **given.annotation)
    assert density(given) == pytest.approx(both.float().mean().item())
    computed = 20 * 41 if mask == "causal" else 40 * 40
    assert ideal_speedup(given, density(given)) == pytest.approx(computed / (both.sum().item() / 2))


@by_mask
@pytest.mark.parametrize("training", [False, True], ids=["forward", "training"])
def test_full_attention_is_under_the_mask(mask, training):
    given = inputs(mask=mask, training=training)
    key, value = (tensor.repeat_interleave(2, dim=1) for tensor in (given.key, given.value))
    expected = F.scaled_dot_product_attention(given.query, key, value, attn_mask=own(mask, 40))
    output, *gradients = full(given).call()
    torch.testing.assert_close(output, expected.detach(), rtol=1e-4, atol=1e-5)
    if training:
        wanted = torch.autograd.grad(expected, (given.query, given.key, given.value), given.gradient)
        for gradient, other in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-5)


@by_mask
@pytest.mark.parametrize("grammar", ["paper", "mixed"])
@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("training", [False, True], ids=["forward", "training"])
def test_ours_computes_what_the_dense_mask_does(mask, grammar, strategy, training):
    given = inputs(grammar=grammar, mask=mask, strategy=strategy, training=training)
    expected = dense_masked(given).call()
    both = own(mask, 40).expand(2, 1, 40, 40)
    if strategy == "hard":
        key, value = (tensor.repeat_interleave(2, dim=1) for tensor in (given.key, given.value))
        both = both & allowed_pairs(given.tables, **given.annotation)
        with torch.no_grad():
            oracle = F.scaled_dot_product_attention(given.query, key, value, attn_mask=both)
        torch.testing.assert_close(expected[0], oracle, rtol=1e-4, atol=1e-5)
    sparse = "biased" if strategy == "soft" else {"paper": "sorted", "mixed": "mixed"}[grammar]
    for backend in ("auto", "dense", sparse):
        for one, other in zip(ours(given, backend).call(), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@by_mask
def test_flex_reads_the_same_pairs(mask):
    place = torch.meshgrid(*map(torch.arange, (2, 2, 40, 40)), indexing="ij")
    wanted = own(mask, 40).expand(2, 2, 40, 40)
    assert torch.equal(mask_function(inputs(mask=mask, strategy="soft"))(*place), wanted)
    given = inputs(mask=mask)
    wanted = wanted & allowed_pairs(given.tables, **given.annotation)
    assert torch.equal(mask_function(given)(*place), wanted)


@pytest.mark.parametrize("training", [False, True], ids=["forward", "training"])
@pytest.mark.parametrize(("length", "share"), [(40, 0.2), (300, 0.1), (700, 0.45)])
def test_streaming_reads_its_window_and_the_first_tokens(length, share, training):
    given = inputs(length, mask="causal", training=training)
    made = streaming(given, share)
    window = int(made.facts["note"].split()[1].strip(","))
    place = torch.arange(length)
    reads = (place <= place[:, None]) & ((place > place[:, None] - window) | (place < FIRST))
    assert reads.sum() == streaming_pairs(length, window)
    assert made.facts["own_density"] == pytest.approx(reads.float().mean().item())
    assert made.facts["own_density"] == pytest.approx(share, rel=0.1)
    key, value = (tensor.repeat_interleave(2, dim=1) for tensor in (given.key, given.value))
    expected = F.scaled_dot_product_attention(given.query, key, value, attn_mask=reads)
    output, *gradients = made.call()
    torch.testing.assert_close(output, expected.detach(), rtol=1e-4, atol=1e-5)
    if training:
        wanted = torch.autograd.grad(expected, (given.query, given.key, given.value), given.gradient)
        for gradient, other in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-4)


def test_streaming_without_a_place_says_why():
    for mask in ("none", "window-6", "causal-window-9"):
        with pytest.raises(CannotRunError, match="its pattern is causal"):
            streaming(inputs(mask=mask), 0.2)
    with pytest.raises(CannotRunError, match="soft blocks no pair"):
        streaming(inputs(mask="causal", strategy="soft"), 0.5)
    for share in (0.001, 0.6):
        with pytest.raises(CannotRunError, match="no causal window"):
            streaming(inputs(mask="causal"), share)


def test_a_layer_of_its_own_rules():
    rare, free = inputs(grammar=LATER, layer=2), inputs(grammar=LATER, layer=0)
    assert density(rare) > density(free)
    expected = dense_masked(rare).call()[0]
    torch.testing.assert_close(ours(rare, "auto").call()[0], expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(dense_masked(free).call()[0], expected)


def test_masks_are_of_the_operator_only():
    config = make_bench_config(lengths=(64,), strategies=("hard",), passes=("forward",), masks=MASKS)
    assert [(case.level, case.mask) for case in list_cases(config, ("paper",))] == [
        *(("operator", mask) for mask in MASKS), ("model", "own"), ("end-to-end", "own"),
    ]  # fmt: skip
    assert [case.mask for case in memory_cases(config, ("paper",))] == [*MASKS]
    assert len({case.series for case in list_cases(config, ("paper",))}) == len(MASKS) + 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": ("sliding",)}, "'sliding' is no mask"),
        ({"masks": ("window-0",)}, "'window-0' is no mask"),
        ({"masks": ("causal", "causal")}, "named once"),
        ({"masks": ()}, "setting 'masks'"),
        ({"heads": 9, "key_heads": 2}, "setting 'key-heads' is 2: 9 heads"),
        ({"layer": -1}, "setting 'layer'"),
        ({"masks": ("window-99999999",)}, "N from 1 to 9,999,999"),
        *(
            (
                {"levels": ("model", "end-to-end"), name: value},
                f"setting '{name.replace('_', '-')}' is .*operator level",
            )
            for name, value in (("masks", ("causal",)), ("key_heads", 2), ("layer", 1))
        ),
    ],
)
def test_nonsense_is_refused(changes, message):
    with pytest.raises(ExperimentError, match=message):
        make_bench_config(**changes)


# Whole models


CONFIGS = {
    "bert": {},
    "modernbert": {"local_attention": 8, "num_hidden_layers": 4, "cls_token_id": 2, "sep_token_id": 3},
    "llama": {"num_key_value_heads": 2},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 6},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = tokenizer("wordpiece")
    sizes = {
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 16,
        "max_position_embeddings": 80, "vocab_size": len(made), "pad_token_id": made.pad_token_id, "bos_token_id": 2,
        "eos_token_id": 3,
    }  # fmt: skip
    found = {}
    for name, changes in CONFIGS.items():
        folder = tmp_path_factory.mktemp(name)
        kind = AutoModel if "bert" in name else AutoModelForCausalLM
        kind.from_config(AutoConfig.for_model(name, **{**sizes, **changes})).save_pretrained(folder)
        made.save_pretrained(folder)
        found[name] = str(folder)
    return found


def bench_model(folder):
    return BenchModel(folder, longest=64, attention_dropout=0.0, seed=0)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("lengths", [(30, 30), (30, 21)], ids=["whole", "ragged"])
def test_the_masks_of_a_models_layers_are_those_that_it_uses(monkeypatch, folders, name, lengths):
    model = bench_model(folders[name])
    used = []

    def attend(query, key, value, plan, layer, own, position, **options):
        used.append(position)
        return query

    guided = model.guided(load_grammar("paper"), "hard", torch.float32)
    monkeypatch.setattr(interface, "attend", attend)
    with torch.no_grad():
        guided.base_model(**random_batch(lengths, pad_token_id=0).everything)
    size = torch.device("cpu")
    for one, other in zip(used, model.positions, strict=True):
        assert torch.equal(one.allowed(30, 30, size), other.allowed(30, 30, size))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("lengths", [(30, 30), (30, 21)], ids=["whole", "ragged"])
def test_the_share_of_a_batch_is_of_what_full_attention_computes(folders, name, strategy, lengths):
    model, batch = bench_model(folders[name]), random_batch(lengths).everything
    case = Case("model", "paper", strategy, "forward", "own", "float32", 1, 2, 30)
    facts = batch_facts(case, load_grammar("paper"), batch, model)
    given = make_inputs(
        {name: batch[name] for name in ("tag_ids", "word_ids", "sentence_ids")}, grammar=load_grammar("paper"),
        strategy="hard", training=False, layer=0, mask="none", heads=4, key_heads=4, head_dim=8, dtype=torch.float32,
        seed=0,
    )  # fmt: skip
    real = batch["attention_mask"].bool()
    pairs = (real[:, :, None] & real[:, None, :])[:, None]
    allowed = pairs & allowed_pairs(given.tables, **given.annotation) if strategy == "hard" else pairs
    read = sum((allowed & position.allowed(30, 30, real.device)).sum().item() for position in model.positions)
    computed = len(model.positions) * 2 * (30 * 31 // 2 if name == "llama" and lengths == (30, 30) else 30 * 30)
    assert facts["computed_share"] == pytest.approx(read / computed)
    assert facts["density"] == pytest.approx(read / (len(model.positions) * pairs.sum().item()))


# The whole


def test_the_questions_of_the_page_are_commands(monkeypatch, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
    table = page.split("## The questions it answers")[1].split("`GRAMMARS`")[0]
    commands = [shlex.split(command) for command in re.findall(r"`grammask (bench [^`]+)`", table)]
    asked = []
    monkeypatch.setattr(run, "run_bench", lambda config, *_, **__: asked.append(config) or {"rows": [], "memory": []})
    monkeypatch.setattr(bench_table, "bench_tables", lambda results: ())
    for command in commands:
        names = ["paper,mixed" if part == "GRAMMARS" else part for part in command]
        assert run_plainly(lambda names=names: app([*names, "--out", str(tmp_path)])) == 0, command
    assert len(asked) == len(commands) >= 8
    for config in asked:
        assert load_grammars(config)
        assert list_cases(config, config.grammars)


def test_a_benchmark_under_masks(capsys, folders, tmp_path):
    (tmp_path / "text").write_text("Names read names, and Anna reads what Bob wrote. " * 9, encoding="utf-8")
    code = run_plainly(lambda: app([
        "bench", "--model", folders["bert"], "--grammars", "mixed", "--strategies", "hard", "--levels", "operator",
        "--passes", "forward", "--masks", "causal,causal-window-20", "--lengths", "64", "--heads", "4", "--key-heads",
        "2", "--head-dim", "8", "--seconds", "0", "--peers", "dense-masked,longformer,streaming", "--backends", "auto",
        "--no-memory", "--threads", "1", "--text", str(tmp_path / "text"), "--out", str(tmp_path / "out"),
    ]))  # fmt: skip
    shown = capsys.readouterr().out
    assert code == 0
    assert "causal-window-20" in shown
    results = json.loads((tmp_path / "out" / run.RESULTS).read_text(encoding="utf-8"))
    assert len(results["rows"]) == 2 * 5
    for row in results["rows"]:
        assert (row["heads"], row["key_heads"], row["layer"]) == (4, 2, 0)
        assert row["series"].split(", ")[3] == row["mask"]
        if "reason" in row:
            assert row["contender"] in ("longformer", "streaming")
            assert (row["contender"], row["mask"]) != ("streaming", "causal")
            continue
        assert row.get("difference", 0.0) < 1e-4, row
        assert row["ideal"] >= 1
    assert "causal-window-20" in (tmp_path / "out" / run.REPORT).read_text(encoding="utf-8")
