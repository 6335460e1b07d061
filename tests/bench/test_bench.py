"""The benchmark: fair rounds, peers that compute what they say, rows for all, and pages that fetch nothing."""

import itertools
import json
import re

import numpy as np
import pytest
import torch
from helpers.attention_calls import choices_of_calls
from helpers.batches import random_batch
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer
from torch.nn import functional as F
from transformers import BigBirdConfig
from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

from grammask.bench import run
from grammask.bench.cases import list_cases, memory_cases
from grammask.bench.contender import CannotRunError, Contender, Ready, warm
from grammask.bench.documents import LongText, load_long_text, ragged_lengths
from grammask.bench.levels.whole_model import ideal_speedup, without_attention
from grammask.bench.memory_worker import measure
from grammask.bench.models import lengthen
from grammask.bench.operator_inputs import density, make_inputs
from grammask.bench.ours import guided, ours
from grammask.bench.peak_memory import measure_memory
from grammask.bench.peers.bigbird import bigbird, block_density, choose_blocks
from grammask.bench.peers.flex_attention import flex, mask_function, score_function
from grammask.bench.peers.longformer import choose_window, longformer, window_density
from grammask.bench.peers.sdpa import check_memory, dense_masked, full
from grammask.bench.race import race
from grammask.bench.settings import make_bench_config
from grammask.bench.timing import LEAST, OtherLoad, summarise_rounds, time_rounds
from grammask.cli.app import app, run_plainly
from grammask.errors import ExperimentError, GrammarError, InputError, ModelError
from grammask.grammar.file import load_grammar, shipped_grammars
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs, pair_strengths
from grammask.grammar.rules import Reach, Rule
from grammask.memory import PeakMemory, resident, settle
from grammask.report.bench_page import render_bench_report

BY_SENTENCE = Grammar("by-sentence", rules=(Rule(("NOUN", "VERB"), ("ADJ", "NOUN"), Reach("sentence"), 2.0),))
BY_HEAD = Grammar(
    "by-head",
    rules=(
        Rule(("NOUN",), ("VERB",), Reach("document"), 1.0, heads=(0,)),
        Rule(("VERB",), ("NOUN",), Reach("words", -1, 3), -2.0, heads=(1,)),
    ),
)
# Those that are made for the heads of one model don't fit the small shapes below; BY_HEAD stands for them.
GRAMMARS = [
    *(grammar for grammar in map(load_grammar, shipped_grammars()) if not grammar.varies_by_head),
    BY_SENTENCE,
    BY_HEAD,
    Grammar("first-tokens", (Rule(("NOUN",), ("VERB",), Reach("words", -3, 3)),), sink_tokens=3),
]
by_name = pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.name)


def annotated(*lengths, seed=0):
    return random_batch(lengths, seed=seed).annotation


def inputs(
    length=48, *, grammar=GRAMMARS[0], strategy="hard", training=False, mask="none", batch=2, heads=2, key_heads=2
):
    return make_inputs(
        annotated(*[length] * batch), grammar=grammar, strategy=strategy, training=training, layer=0, mask=mask,
        heads=heads, key_heads=key_heads, head_dim=8, dtype=torch.float32, seed=0,
    )  # fmt: skip


def test_the_choice_that_is_noted_is_that_of_the_call(monkeypatch):
    given = make_inputs(
        annotated(300, 300), grammar=GRAMMARS[0], strategy="hard", training=True, layer=0, mask="causal", heads=4,
        key_heads=2, head_dim=8, dtype=torch.bfloat16, seed=0,
    )  # fmt: skip
    chosen = choices_of_calls(monkeypatch)
    noted, call = guided(given, "auto")
    call()
    assert chosen == [noted]


# Rounds


def test_calls_take_turns_until_the_time_is_over():
    order, now = [], itertools.count(0.0, 1.0)
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    taken = time_rounds(calls, seconds=30.0, clock=lambda: next(now))
    rounds = len(taken["a"])
    assert rounds == 5  # a round reads the clock six times, and once to see whether time is over
    assert order == list("abc") * rounds
    assert all(values == [1.0] * rounds for values in taken.values())
    assert len(time_rounds(calls, seconds=0.0)["c"]) == LEAST


def test_speedup_is_the_median_of_ratios_within_rounds():
    row = summarise_rounds([1.0, 2.0, 4.0], [3.0, 4.0, 4.0], ideal=4.0)
    assert (row["speedup"], row["speedup_quartiles"], row["median_seconds"]) == (2.0, [1.5, 2.5], 2.0)
    assert row["ratio"] == 0.5
    assert (row["rounds"], row["share_of_ideal"], row["seconds"]) == (3, 0.5, [1.0, 2.0, 4.0])
    assert summarise_rounds([1.0], [1.0], ideal=None)["share_of_ideal"] is None


def test_others_are_counted_and_we_are_not():
    with OtherLoad() as others:
        sum(range(200_000))
    assert others.cores >= 0.0


def ready(value, *, exact=True):
    return lambda: Ready(lambda: (torch.tensor([value]),), exact=exact)


def test_a_race_has_a_row_for_everyone():
    def broken():
        raise RuntimeError("no such thing\nand more")

    def refused():
        raise GrammarError("not with this grammar")

    rows = race(
        [
            Contender("full", "full", ready(1.0, exact=False)),
            Contender("dense-masked", "peer", ready(2.0)),
            Contender("broken", "peer", broken),
            Contender("sorted", "ours", refused),
            Contender("auto", "ours", ready(3.0)),
        ],
        seconds=0.0, ideal=2.0, reference="dense-masked",
    )  # fmt: skip
    by_contender = {row["contender"]: row for row in rows}
    assert list(by_contender) == ["full", "dense-masked", "broken", "sorted", "auto"]
    assert by_contender["broken"]["reason"] == "RuntimeError: no such thing"
    assert by_contender["sorted"]["reason"] == "not with this grammar"
    assert by_contender["auto"]["difference"] == 0.5
    assert "difference" not in by_contender["full"]
    assert by_contender["full"]["speedup"] == 1.0


def test_a_bug_of_ours_is_no_reason():
    def broken():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        warm(Contender("auto", "ours", broken))


# Texts


def test_documents_are_consecutive_and_long_enough():
    made = tokenizer("wordpiece")
    source = LongText("here", "The  dog barks.\nThe cat sleeps loudly " * 40, made)
    documents = source.cut([30, 17], seed=3)
    assert documents.repeats == 1
    joined = " ".join(documents.texts)
    assert "  " not in joined
    for text, length in zip(documents.texts, (30, 17), strict=True):
        assert len(made(text, add_special_tokens=False)["input_ids"]) >= length
    assert documents == source.cut([30, 17], seed=3)
    assert documents != source.cut([30, 17], seed=4)


def test_a_short_text_is_laid_out_again_and_says_so():
    made = tokenizer("wordpiece")
    source = LongText("here", "The dog barks", made)
    documents = source.cut([source.tokens * 3 + 1], seed=0)
    assert documents.repeats == 4
    assert len(made(documents.texts[0], add_special_tokens=False)["input_ids"]) >= source.tokens * 3 + 1


def test_ragged_lengths_lie_below_the_longest():
    lengths = ragged_lengths(100, 50, seed=0)
    assert lengths[0] == max(lengths) == 100
    assert min(lengths) >= 50
    assert len(set(lengths)) > 10


def test_texts_that_cannot_be_read(tmp_path):
    made = tokenizer("wordpiece")
    with pytest.raises(InputError, match="cannot be read"):
        load_long_text(str(tmp_path / "none.txt"), made)
    (tmp_path / "bytes").write_bytes(b"ab\xff")
    with pytest.raises(InputError, match="not UTF-8 .* at byte 2"):
        load_long_text(str(tmp_path / "bytes"), made)
    (tmp_path / "empty").write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no text"):
        load_long_text(str(tmp_path / "empty"), made)


# Peers


@pytest.mark.parametrize("training", [False, True], ids=["forward", "training"])
@pytest.mark.parametrize("length", [48, 95])
def test_longformer_attends_to_its_window(length, training):
    given = inputs(length, training=training)
    made = longformer(given, 0.3)
    window = int(re.match(r"window (\d+)", made.facts["note"])[1])
    near = (torch.arange(length)[:, None] - torch.arange(length)).abs() <= window // 2
    assert made.facts["own_density"] == pytest.approx(near.float().mean().item())
    expected = F.scaled_dot_product_attention(given.query, given.key, given.value, attn_mask=near)
    made.call()
    output, *gradients = made.call()  # a second call must find what the first one found
    torch.testing.assert_close(output, expected.transpose(1, 2).flatten(2).detach())
    if training:
        wanted = torch.autograd.grad(expected, (given.query, given.key, given.value), given.gradient)
        for gradient, other in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(gradient[:length], other.permute(2, 0, 1, 3).flatten(2), rtol=1e-4, atol=1e-5)


def test_bigbird_attends_to_its_blocks():
    given = inputs(128, training=True)
    made = bigbird(given, 0.5)
    block, random = map(int, re.match(r"blocks of (\d+), (\d+) random", made.facts["note"]).groups())
    output, *gradients = made.call()
    expected = F.scaled_dot_product_attention(given.query, given.key, given.value).transpose(1, 2).flatten(2)
    for rows in (slice(block), slice(-block, None)):
        torch.testing.assert_close(output[:, rows], expected[:, rows].detach(), rtol=1e-4, atol=1e-5)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    config = BigBirdConfig(
        hidden_size=16, num_attention_heads=2, block_size=block, num_random_blocks=random, max_position_embeddings=128
    )
    layer = BigBirdBlockSparseAttention(config, seed=0).train()
    blocked, band, rows, keys = BigBirdModel.create_masks_for_block_sparse_attn(torch.ones(1, 128), block)
    weights = layer(torch.randn(1, 128, 16), band, rows, keys, blocked, blocked)[1]
    assert (weights > 0).float().mean().item() == pytest.approx(block_density(128 // block, random))
    assert made.facts["own_density"] == pytest.approx(block_density(128 // block, random))


@pytest.mark.parametrize(("length", "share"), [(512, 0.3), (1024, 0.05), (1000, 0.4), (4096, 0.02)])
def test_peers_come_near_to_a_density(length, share):
    window = choose_window(length, share)
    assert window % 2 == 0
    assert -length % window <= 0.02 * length
    assert window_density(length, window) == pytest.approx(share, rel=0.3)
    block, random = choose_blocks(length, share)
    assert length % block == 0
    assert length // block > 5 + 2 * random
    nearest = [block_density(length // size, 1) for size in range(8, length) if length % size == 0]
    assert block_density(length // block, random) == pytest.approx(max(share, min(nearest)), rel=0.3)


def test_peers_without_a_place_say_why():
    with pytest.raises(CannotRunError, match="no multiple"):
        choose_blocks(101, 0.3)
    with pytest.raises(CannotRunError, match="no window"):
        choose_window(3, 0.3)
    for peer in (longformer, bigbird):
        with pytest.raises(CannotRunError, match="soft blocks no pair"):
            peer(inputs(strategy="soft"), 1.0)
        with pytest.raises(CannotRunError, match="fits no other mask"):
            peer(inputs(mask="causal"), 0.2)
        with pytest.raises(CannotRunError, match="keys of its own"):
            peer(inputs(key_heads=1), 0.2)
    with pytest.raises(CannotRunError, match="no backward pass"):
        flex(inputs(training=True))
    with pytest.raises(CannotRunError, match="its mask would take"):
        check_memory(1 << 60, "its mask")


@by_name
def test_flex_reads_the_same_pairs_at_the_same_strength(grammar):
    given = inputs(40, grammar=grammar)
    batch, heads, length, _ = given.shape
    place = torch.meshgrid(*map(torch.arange, (batch, heads, length, length)), indexing="ij")
    wanted = allowed_pairs(given.tables, **given.annotation).expand(batch, heads, length, length)
    assert torch.equal(mask_function(given)(*place), wanted)
    bias = pair_strengths(given.tables, **given.annotation).expand(batch, heads, length, length)
    assert torch.equal(score_function(given)(torch.zeros(()), *place), bias)


@by_name
@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("training", [False, True], ids=["forward", "training"])
def test_ours_computes_what_the_dense_mask_does(grammar, strategy, training):
    given = inputs(40, grammar=grammar, strategy=strategy, training=training)
    expected = dense_masked(given).call()
    made = ours(given, "auto")
    assert made.facts["planning_seconds"] >= 0
    for one, other in zip(made.call(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert len(expected) == (4 if training else 1)
    assert [output.shape for output in full(given).call()] == [output.shape for output in expected]
    assert density(given) == (
        1.0 if strategy == "soft" else pytest.approx(allowed_pairs(given.tables, **given.annotation).float().mean())
    )


# Memory


def test_the_peak_is_that_of_the_block():
    megabytes = 96
    np.ones(2 * megabytes << 17)  # a higher peak before
    settle()
    before = resident()
    with PeakMemory() as peak:
        np.ones(megabytes << 17)
    assert 0.9 * megabytes < (peak.bytes - before) / 2**20 < 1.5 * megabytes


def test_memory_is_measured_in_fresh_processes():
    config = make_bench_config(
        grammars=("paper",), strategies=("hard",), passes=("training",), lengths=(64, 200), heads=2, head_dim=8,
        backends=("biased",), peers=(), threads=(1,),
    )  # fmt: skip
    [case] = memory_cases(config, config.grammars)
    assert case.length == 200
    rows = measure_memory(case, config, grammar=load_grammar("paper"), annotation=annotated(200))
    assert [row["contender"] for row in rows] == ["full", "biased"]
    assert rows[0]["peak_bytes"] > rows[0]["before_bytes"] > 1e7
    assert rows[0]["attention_bytes"] < 1e8
    assert rows[0]["output_bytes"] == 4 * 200 * 16 * 4
    assert "biased" in rows[1]["reason"]


@pytest.mark.parametrize(
    ("contender", "mask"),
    [("full", "window-8"), ("dense-masked", "none"), ("auto", "none"), ("sorted", "none"), ("auto", "causal-window-8")],
)
def test_memory_within_a_process(contender, mask):
    given = {
        "grammar": load_grammar("paper").to_dict(), "strategy": "hard", "training": False, "layer": 0, "mask": mask,
        "heads": 2, "key_heads": 1, "head_dim": 8, "torch_dtype": torch.float32, "seed": 0, "contender": contender,
        "threads": torch.get_num_threads(), "annotation": annotated(600),
    }  # fmt: skip
    found = measure(given)
    assert found["output_bytes"] == 600 * 16 * 4
    assert found["peak_bytes"] >= found["before_bytes"]


# Models


def test_longer_positions_change_nothing_within_the_old_ones():
    model = tiny_model("bert")
    tokens = torch.arange(8, 68)[None]
    before = model(tokens).logits
    lengthen(model, 200)
    assert torch.equal(model(tokens).logits, before)
    assert torch.isfinite(model(tokens.repeat(1, 3)).logits).all()
    assert model.config.max_position_embeddings == 200
    with pytest.raises(ModelError, match=r"reads at most 80 tokens.*shorter --lengths"):
        lengthen(tiny_model("gpt2"), 200)
    behind_padding = tiny_model("roberta")
    lengthen(behind_padding, 200)
    assert torch.isfinite(behind_padding(tokens.repeat(1, 3)).logits).all()


def test_the_floor_mixes_nothing_and_trains_everything():
    model = without_attention(tiny_model("bert"))
    tokens = torch.arange(8, 20)[None]
    states = model.base_model(tokens).last_hidden_state
    assert torch.allclose(states[:, :5], model.base_model(tokens[:, :5]).last_hidden_state, atol=1e-5)
    assert not torch.allclose(states, tiny_model("bert").base_model(tokens).last_hidden_state, atol=1e-2)
    model(tokens, labels=torch.tensor([1])).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert ideal_speedup(10.0, 5.0, 0.5) == pytest.approx(10 / 7.5)
    assert ideal_speedup(10.0, 11.0, 0.5) == pytest.approx(10 / 11)


# The whole


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "model"
    made = tokenizer("wordpiece")
    tiny_model("bert", vocab_size=len(made), pad_token_id=made.pad_token_id).base_model.save_pretrained(folder)
    made.save_pretrained(folder)
    return {
        "model": str(folder), "grammars": ("paper-sinks",), "lengths": (64, 96), "batch_sizes": (2,), "heads": 2,
        "head_dim": 8, "threads": (1,), "seconds": 0.0, "memory": False, "backends": ("auto", "dense", "biased"),
        "peers": ("dense-masked", "longformer", "bigbird"),
    }  # fmt: skip


def test_a_benchmark_writes_what_it_promises(settings, tmp_path):
    config = make_bench_config(**{**settings, "lengths": (64,)})
    said = []
    results = run.run_bench(config, tmp_path / "out", force=False, say=said.append)
    assert json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8")) == json.loads(json.dumps(results))
    cases = list_cases(config, config.grammars)
    assert len(said) == results["cases"] == results["planned_cases"] == len(cases) == 2 * (2 + 2 + 1)
    assert results["complete"]
    assert results["environment"]["torch"]
    assert "<svg" in (tmp_path / "out" / "bench.html").read_text(encoding="utf-8")
    for row in results["rows"]:
        assert row["series"].startswith(row["level"])
        if "reason" in row:
            assert row["contender"] in ("biased", "longformer", "bigbird")
            continue
        assert len(row["seconds"]) == row["rounds"] >= LEAST
        assert row.get("difference", 0.0) < 1e-4, row
    wanted = {
        "operator": {"full", "dense-masked", "longformer", "bigbird", "auto", "dense", "biased"},
        "model": {"full", "no attention", "auto"},
    }
    for level in ("operator", "model", "end-to-end"):
        found = {row["contender"] for row in results["rows"] if row["level"] == level}
        assert found == wanted.get(level, {"full", "auto"})
    texts = [row["text_seconds"] for row in results["rows"] if row["level"] == "end-to-end"]
    assert all(seconds > 0 for seconds in texts)
    with pytest.raises(ExperimentError, match="--force"):
        run.run_bench(config, tmp_path / "out", force=False, say=said.append)


def test_an_interruption_loses_nothing(settings, tmp_path):
    def say(line):
        if line.startswith("3 of"):
            raise KeyboardInterrupt

    config = make_bench_config(**{**settings, "levels": ("operator",), "dtypes": ("bfloat16",)})
    with pytest.raises(KeyboardInterrupt):
        run.run_bench(config, tmp_path, force=False, say=say)
    results = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert (results["cases"], results["complete"]) == (2, False)
    assert {row["length"] for row in results["rows"]} == {64, 96}
    assert max(row.get("difference", 0.0) for row in results["rows"]) < 5e-2
    assert "2 of 8 cases are finished" in (tmp_path / "bench.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": ()}, "setting 'lengths'"),
        ({"lengths": (64, 64)}, "named once"),
        ({"lengths": (4,)}, "greater than or equal to 8"),
        ({"strategies": ("full",)}, "setting 'strategies' is 'full'"),
        ({"peers": ("xformers",)}, "setting 'peers' is 'xformers'"),
        ({"seconds": -1.0}, "setting 'seconds'"),
        ({"threads": (0,)}, "setting 'threads'"),
        ({"heads": 0}, "setting 'heads'"),
        ({"colour": "red"}, "setting 'colour'"),
    ],
)
def test_nonsense_is_refused_in_one_line(settings, changes, message):
    with pytest.raises(ExperimentError, match=re.escape(message)):
        make_bench_config(**{**settings, **changes})


def command(*arguments):
    return run_plainly(lambda: app(["bench", *map(str, arguments)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lengths", "512,many"), "--lengths are whole numbers"),
        (("--grammars", "papr"), "no grammar 'papr'"),
        (("--dtypes", "int8"), "setting 'dtypes' is 'int8'"),
        (("--text", "none.txt", "--grammars", "paper"), "none.txt cannot be read"),
        (("--tagger", "xx_none", "--grammars", "paper"), "no tagger 'xx_none'"),
        (("--out", "old"), "overwrite it with --force"),
        (("--out", "old/bench.json"), "is a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_command_refuses_before_it_writes(monkeypatch, capsys, settings, tmp_path, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "bench.json").write_text("{}", encoding="utf-8")
    assert command("--model", settings["model"], *options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("grammask: ")
    assert message in lines[0]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bench.json", "old"]


def test_the_command_prints_tables(capsys, settings, tmp_path):
    code = command(
        "--model", settings["model"], "--grammars", "paper-sinks", "--strategies", "hard", "--levels", "operator",
        "--passes", "forward", "--lengths", "64", "--heads", "2", "--head-dim", "8", "--seconds", "0", "--peers",
        "dense-masked", "--backends", "auto,biased", "--no-memory", "--threads", "1", "--out", tmp_path / "out",
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert code == 0
    assert "grammask auto" in shown
    assert "Not run" in shown
    assert "Of 1 case, grammask auto does worst in operator" in shown
    assert str(tmp_path / "out" / "bench.html") in shown
    assert max(map(len, shown.splitlines()[1:-2])) <= 80


# The page


def page_row(**changes):
    return {
        "level": "operator", "grammar": "g", "strategy": "hard", "pass": "forward", "dtype": "float32", "threads": 1,
        "batch_size": 1, "length": 512, "series": "operator, hard g", "density": 0.25, "contender": "full",
        "kind": "full", "other_cores": 0.0, **summarise_rounds([0.1, 0.2], [0.1, 0.2], ideal=4.0), **changes,
    }  # fmt: skip


def page(**changes):
    rows = [
        page_row(),
        page_row(
            contender="auto", kind="ours", difference=1e-7, **summarise_rounds([0.05, 0.1], [0.1, 0.2], ideal=4.0)
        ),
        page_row(series="other"),
    ]
    memory = [
        {**page_row(), "before_bytes": 1, "planning_bytes": 2, "held_bytes": 3, "attention_bytes": 2**20,
         "output_bytes": 5, "peak_bytes": 6},
        {"series": "operator, hard g", "length": 512, "contender": "sorted", "kind": "ours", "reason": "no <b>"},
    ]  # fmt: skip
    results = {
        "config": {"levels": ["operator"], "dtypes": ["bfloat16"]}, "text": {"source": "x", "tokens": 9, "repeats": 1},
        "model": None, "tagger": {}, "environment": {"cores": 2, "bfloat16": "in hardware"}, "planned_cases": 2,
        "cases": 2, "complete": True, "rows": rows, "memory": memory,
    }  # fmt: skip
    return render_bench_report({**results, **changes})


def test_the_page_fetches_nothing_and_escapes():
    made = page()
    assert made == page()
    assert "default-src 'none'" in made
    assert "<script" not in made
    assert "<b>" not in made
    assert not re.search(r'(src|href)="(?!#)', made)
    ids = re.findall(r' id="([^"]+)"', made)
    assert len(ids) == len(set(ids))
    assert "operator, hard g, 512 tokens: 2.00x as fast as full attention" in made
    assert "Of 1 case, grammask auto does worst in operator, hard g, 512 tokens: 0.50x the time of full" in made
    assert 'class="warning"' not in made


def test_the_page_warns_of_what_must_not_be_trusted():
    rows = [page_row(other_cores=0.8), page_row(contender="auto", kind="ours", difference=float("nan"))]
    made = page(
        rows=rows, complete=False, text={"source": "x", "tokens": 9, "repeats": 3},
        environment={"cores": 2, "bfloat16": "emulated"},
    )  # fmt: skip
    assert "up to 0.8 of 2 cores busy" in made
    assert "grammask auto differs from the dense mask by nan" in made
    assert "repeated up to 3 times" in made
    assert "does not compute in bfloat16" in made
    assert "2 of 2 cases are finished, or memory is missing" in made


def test_a_gpu_that_is_not_there_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = make_bench_config(device="cuda")
    with pytest.raises(ExperimentError, match="'device' is 'cuda', but PyTorch finds no GPU here; leave it out"):
        run.run_bench(config, tmp_path, force=False, say=print)


def test_a_round_lasts_until_the_device_has_finished():
    said = []
    time_rounds({"call": lambda: said.append("call")}, seconds=0, finish=lambda: said.append("finish"))
    assert said[:4] == ["call", "finish"] * 2
