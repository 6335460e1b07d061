"""The models of a benchmark: random ones say so, causal ones have a prefill, and stock and guided do the same step."""

import dataclasses
import json

import pytest
import torch
from helpers.batches import random_batch
from helpers.tiny_models import TINY, tiny_model
from helpers.tokenizers_for_tests import tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from grammask.bench import run
from grammask.bench.cases import Case, list_cases
from grammask.bench.levels.steps import make_step
from grammask.bench.levels.whole_model import without_attention
from grammask.bench.models import BenchModel, lengthen
from grammask.bench.random_models import SHAPES, random_model
from grammask.bench.settings import make_bench_config
from grammask.errors import ExperimentError, GrammaskError
from grammask.grammar.file import load_grammar

SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 16}
CAUSAL = {"num_key_value_heads": 2}


@pytest.fixture
def small(monkeypatch):
    """The random models, made small."""
    for name, shape in SHAPES.items():
        sizes = {**SMALL, **(CAUSAL if shape.causal else {})}
        monkeypatch.setitem(SHAPES, name, dataclasses.replace(shape, sizes=sizes))


@pytest.fixture(scope="module")
def causal_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "causal"
    made = tokenizer("wordpiece")
    sizes = {**TINY, **CAUSAL, "vocab_size": len(made), "pad_token_id": made.pad_token_id}
    config = AutoConfig.for_model("llama", bos_token_id=2, eos_token_id=3, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def bench_model(name, *, longest=64, dropout=0.0, seed=0):
    return BenchModel(str(name), longest=longest, attention_dropout=dropout, seed=seed)


def case(work, dtype="float32"):
    return Case("model", "paper-sinks", "hard", work, "own", dtype, 1, 1, 64)


@pytest.mark.parametrize(
    ("name", "layers", "heads", "key_heads", "millions"),
    [
        ("bert", 12, 12, 12, 122),
        ("modernbert", 22, 12, 12, 135),
        ("llama", 30, 9, 3, 124),
        ("llama-1b", 16, 32, 8, 1036),
    ],
)
def test_random_models_have_the_sizes_of_real_ones(name, layers, heads, key_heads, millions):
    assert {*SHAPES} == {"bert", "modernbert", "llama", "llama-1b"}
    with torch.device("meta"):
        model = random_model(name, bench_model("minilm").tokenizer, longest=16_384, seed=0)
    config = model.config
    assert (config.num_hidden_layers, config.num_attention_heads) == (layers, heads)
    assert getattr(config, "num_key_value_heads", heads) == key_heads
    assert model.num_parameters() / 1e6 == pytest.approx(millions, rel=0.03)
    assert config.max_position_embeddings == 16_384
    assert (name == "modernbert") == ("sliding_attention" in (getattr(config, "layer_types", None) or ()))


@pytest.mark.parametrize("name", SHAPES)
def test_a_random_model_says_so_and_is_the_same_for_a_seed(small, name):
    made = bench_model(name, longest=700)
    facts = made.facts()
    assert facts["name"] == name
    assert facts["weights"].startswith("random, of seed 0")
    assert facts["use_cache"] is False
    assert (facts["causal"], facts["key_heads"]) == ((True, 2) if SHAPES[name].causal else (False, 4))
    again, other = bench_model(name, longest=700).stock, bench_model(name, longest=700, seed=1).stock
    for one, same in zip(made.stock.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, same)
    assert any(not torch.equal(one, new) for one, new in zip(again.parameters(), other.parameters(), strict=True))
    tokens = torch.arange(700)[None]
    assert torch.isfinite(made.stock(tokens).logits).all()


@pytest.mark.parametrize("name", SHAPES)
def test_attention_dropout_reaches_every_kind_of_model(small, name):
    model = bench_model(name, dropout=0.9).copy(torch.float32).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and module.p != 0.9:
            module.p = 0.0
    tokens = torch.arange(5, 30)[None]
    assert not torch.equal(model(tokens).logits, model(tokens).logits)


def test_a_folder_of_a_causal_model_is_taken_as_one(causal_folder):
    made = bench_model(causal_folder, longest=200)
    assert made.causal
    assert type(made.stock).__name__ == "LlamaForCausalLM"
    assert made.facts()["weights"].startswith("sha256 ")
    assert not bench_model("minilm").causal
    tokens = torch.arange(4, 104)[None] % made.stock.config.vocab_size
    assert torch.isfinite(made.stock(tokens).logits).all()  # of 80 positions by its config, but rotary ones


def test_rotary_positions_need_no_more():
    model = tiny_model("modernbert")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lengthen(model, 400)
    assert model.state_dict().keys() == before.keys()
    assert torch.isfinite(model(torch.arange(8, 108)[None].repeat(1, 4)).logits).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bfloat16-weights"])
def test_a_prefill_gives_the_logits_of_the_last_token(causal_folder, dtype):
    made = bench_model(causal_folder)
    batch = random_batch((40,)).everything
    batch["input_ids"] %= made.stock.config.vocab_size
    of_case = case("prefill", dtype)
    guided = made.guided(load_grammar("paper-sinks"), "hard", of_case.weights_dtype)
    [logits] = make_step(guided, of_case, causal=True)(batch)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        expected = guided(**batch).logits[:, -1:]
    torch.testing.assert_close(logits, expected)
    assert logits.shape[1] == 1
    assert (logits.dtype == torch.float32) == (dtype == "float32")


def test_causal_training_is_on_the_next_tokens(causal_folder):
    made = bench_model(causal_folder)
    batch = random_batch((40, 25), pad_token_id=0).inputs
    batch["input_ids"] %= made.stock.config.vocab_size
    model = made.copy(torch.float32)
    logits = model(**batch).logits.detach()
    [loss] = make_step(model, case("training"), causal=True)(batch)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)[:, 1:]
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten())
    torch.testing.assert_close(loss, expected)
    assert any(not torch.equal(one, old) for one, old in zip(model.parameters(), made.stock.parameters(), strict=True))


def test_the_floor_takes_keys_of_fewer_heads(causal_folder):
    model = without_attention(bench_model(causal_folder).copy(torch.float32))
    tokens = torch.arange(4, 24)[None]
    states = model.base_model(tokens).last_hidden_state
    shuffled = model.base_model(torch.cat([tokens[:, :5].flip(1), tokens[:, 5:]], 1)).last_hidden_state
    torch.testing.assert_close(states[:, 5:], shuffled[:, 5:])
    model(tokens, labels=tokens).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_passes_fit_their_level():
    config = make_bench_config(passes=("forward", "training", "prefill"), lengths=(64,), strategies=("hard",))
    found = {level: [] for level in config.levels}
    for one in list_cases(config, ("paper",)):
        found[one.level].append(one.work)
    assert found == {
        "operator": ["forward", "training"], "model": ["forward", "training", "prefill"], "end-to-end": ["prefill"],
    }  # fmt: skip


@pytest.mark.parametrize(("model", "dtype"), [("llama", "bfloat16-weights"), ("modernbert", "bfloat16")])
def test_a_benchmark_of_a_random_model(small, tmp_path, model, dtype):
    passes = ("forward", "training", *(("prefill",) if model == "llama" else ()))
    (tmp_path / "text").write_text("Names read names, and Anna reads what Bob wrote. " * 9, encoding="utf-8")
    config = make_bench_config(
        model=model, grammars=("mixed",), strategies=("hard",), levels=("model", "end-to-end"), lengths=(40,),
        batch_sizes=(2,), dtypes=(dtype,), passes=passes, seconds=0.0, memory=False, threads=(1,),
        text=str(tmp_path / "text"),
    )  # fmt: skip
    results = run.run_bench(config, tmp_path / "out", force=False, say=lambda line: None)
    assert results["complete"]
    assert "random" in json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))["model"]["weights"]
    assert "random, of seed 0" in (tmp_path / "out" / "bench.html").read_text(encoding="utf-8")
    assert {(row["level"], row["pass"]) for row in results["rows"]} == {
        *(("model", work) for work in passes), ("end-to-end", passes[-1] if model == "llama" else "forward"),
    }  # fmt: skip
    for row in results["rows"]:
        assert "reason" not in row, row
        assert row["ratio"] == pytest.approx(
            1 / row["speedup"], rel=1e-6
        )  # three rounds, so the same one is in the middle
        assert row["cpu"] == results["environment"]["cpu"]
        assert row["instructions"] == results["environment"]["instructions"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"model": "minilm"}, "minilm isn't causal"), ({"model": "llama", "levels": ("operator",)}, "one layer alone")],
)
def test_a_prefill_without_a_causal_model_is_refused(tmp_path, changes, message):
    config = make_bench_config(passes=("prefill",), lengths=(64,), **changes)
    with pytest.raises(ExperimentError, match=message):
        run.run_bench(config, tmp_path / "out", force=False, say=lambda line: None)
    assert not (tmp_path / "out").exists()


def test_a_causal_model_that_has_a_grammar_is_refused(causal_folder, tmp_path):
    made = bench_model(causal_folder)
    made.guided(load_grammar("paper-sinks"), "hard", torch.float32).save_pretrained(tmp_path / "guided")
    made.tokenizer.save_pretrained(tmp_path / "guided")
    with pytest.raises(GrammaskError, match="saved with a grammar"):
        _ = bench_model(tmp_path / "guided").stock
