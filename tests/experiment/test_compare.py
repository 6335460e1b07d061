"""A whole comparison, small: what it writes, that it resumes, and that a killed run is not a finished one."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import transformers
from datasets import Dataset
from helpers.comparisons import run
from helpers.records import a_record
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import save_padding, tokenizer
from transformers import Trainer, TrainerState

import grammask
from grammask.errors import ExperimentError, GrammaskError, ModelError
from grammask.experiment import compare as module
from grammask.experiment import cost
from grammask.experiment import train as running
from grammask.experiment.adaptations import ADAPTATIONS
from grammask.experiment.config import make_config
from grammask.experiment.controls import apply
from grammask.experiment.cost import ModelShape, measure_cost, measure_shape
from grammask.experiment.folder import Folder
from grammask.experiment.plan_runs import plan_runs
from grammask.experiment.ramp import Ramp
from grammask.files.write import write_whole
from grammask.grammar.file import load_grammar
from grammask.grammar.masks import allowed_pairs, count_pairs
from grammask.grammar.tables import compile_layers
from grammask.grammar.tags import CLS, SEP
from grammask.model.attach import attach, grammar_of
from grammask.tagging.collate import Collator

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_comparison_writes_what_it_promises(settings, tmp_path):
    results, said = run(settings, tmp_path / "out", seeds=(0, 1), pages="last")
    out = tmp_path / "out"
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == json.loads(json.dumps(results))
    assert "24 of 24" in said[0]
    ids = [record["id"] for record in results["runs"]]
    assert ids == [
        f"{name}-seed{seed}" for seed in (0, 1) for name in ("full", "paper-hard", "paper-soft", "paper-sinks-hard")
    ]
    for record in results["runs"]:
        table = pd.read_csv(out / "predictions" / f"{record['id']}.csv", dtype={"label": str, "prediction": str})
        assert list(table.columns) == ["id", "label", "prediction", "probability 0", "probability 1"]
        assert (table.label == table.prediction).mean() == pytest.approx(record["accuracy"])
        assert (table["probability 0"] + table["probability 1"]).to_numpy() == pytest.approx(1.0)
        assert record["seconds"]["training"] > 0
        assert record["peak_memory_bytes"] > 1e7
    by_id = {record["id"]: record for record in results["runs"]}
    full, hard, soft = (by_id[f"{name}-seed0"] for name in ("full", "paper-hard", "paper-soft"))
    assert full["attention_flops_relative"] == soft["attention_flops_relative"] == 1.0
    assert 0 < hard["density"] < 1
    assert hard["attention_flops_relative"] == pytest.approx(hard["density"])
    assert hard["attention_flops_relative"] < hard["model_flops_relative"] < 1
    assert results["complete"]
    assert results["summary"][0]["difference"] is None
    # The nine texts of dev are among those of train.
    assert (results["tagger"]["texts_tagged"], results["tagger"]["texts_from_cache"]) == (24, 9)
    assert "<svg" in (out / "report.html").read_text(encoding="utf-8")


def test_it_resumes_without_repeating_or_tagging_again(settings, tmp_path, monkeypatch):
    out = tmp_path / "out"
    real, done = module.run, []

    def killed(setup, data, spec, processes, **others):
        if spec.id == "paper-hard-seed0":
            raise KeyboardInterrupt
        done.append(spec.id)
        return real(setup, data, spec, processes, **others)

    monkeypatch.setattr(module, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        run(settings, out, grammars=("paper",), pages="each")
    assert done == ["full-seed0"]
    partial = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert not partial["complete"]
    assert [record["id"] for record in partial["runs"]] == ["full-seed0"]
    assert "1 of 3 runs are finished" in (out / "report.html").read_text(encoding="utf-8")
    kept = (out / "predictions" / "full-seed0.csv").read_bytes()

    with pytest.raises(ExperimentError, match="isn't empty"):
        run(settings, out, grammars=("paper",))
    with pytest.raises(ExperimentError, match=r"another experiment \(epochs was 1.0, is 2.0\)"):
        run(settings, out, resume=True, grammars=("paper",), epochs=2.0)

    monkeypatch.setattr(module, "run", lambda *given, **others: done.append(given[2].id) or real(*given, **others))
    results, _ = run(settings, out, resume=True, grammars=("paper",))
    assert done == ["full-seed0", "paper-hard-seed0", "paper-soft-seed0"]
    assert results["complete"]
    assert results["tagger"]["texts_tagged"] == 0
    assert (out / "predictions" / "full-seed0.csv").read_bytes() == kept


def test_predictions_without_a_record_are_no_finished_run(tmp_path):
    folder = Folder(tmp_path, resume=False)
    write_whole(tmp_path / "predictions" / "full-seed0.csv", "half")
    assert folder.finished("full-seed0", None) is None
    record = a_record("full-seed0")
    folder.finish("full-seed0", record, "whole")
    assert folder.finished("full-seed0", None) == record
    with pytest.raises(ExperimentError, match="another grammar of that name"):
        folder.finished("full-seed0", "0")
    (tmp_path / "runs" / "full-seed0.json").write_text("{", encoding="utf-8")
    with pytest.raises(ExperimentError, match="damaged"):
        folder.finished("full-seed0", None)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_whole(path, "before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ExperimentError, match="No space left on device"):
        write_whole(path, "after")
    assert path.read_text(encoding="utf-8") == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def test_equal_seeds_train_equally_and_full_is_the_stock_model(settings, tmp_path):
    one, _ = run(settings, tmp_path / "one", strategies=("full",), precision="float32")
    other, _ = run(settings, tmp_path / "other", strategies=("full",), precision="float32")
    assert one["runs"][0]["training_loss"] == other["runs"][0]["training_loss"]
    assert (tmp_path / "one/predictions/full-seed0.csv").read_bytes() == (
        tmp_path / "other/predictions/full-seed0.csv"
    ).read_bytes()


def test_the_runs_of_a_configuration():
    specs, grammars = plan_runs(
        make_config(grammars=("paper:soft", "paper-sinks"), seeds=(3,), strategies=("full", "hard", "soft"))
    )
    assert [spec.id for spec in specs] == [
        "full-seed3",
        "paper-soft-seed3",
        "paper-sinks-hard-seed3",
        "paper-sinks-soft-seed3",
    ]
    assert set(grammars) == {"paper", "paper-sinks"}
    with pytest.raises(GrammaskError, match="'neighbours' gives no rule a strength"):
        plan_runs(make_config(grammars=("neighbours",)))
    with pytest.raises(ExperimentError, match="no run is left"):
        plan_runs(make_config(grammars=("paper:soft",), strategies=("hard",)))
    for unused, why in (
        ({"controls": ("window",), "strategies": ("full", "soft")}, "control 'window' is for hard grammars, and none"),
        (
            {"controls": ("window",), "grammars": ()},
            "none is run so: strategies are full, hard, soft, grammars none; add",
        ),
        ({"controls": ("window",), "grammars": ("paper:soft",)}, "control 'window' is for hard grammars"),
        ({"adaptations": ("ramp", "learn-head"), "strategies": ("hard",)}, "adaptation 'learn-head' is for soft"),
    ):
        with pytest.raises(ExperimentError, match=why):
            plan_runs(make_config(**unused))
    for wrong in ({"seeds": (1, 1)}, {"batch_size": 0}, {"unknown": 1}):
        with pytest.raises(GrammaskError, match=next(iter(wrong)).replace("_", "-")):
            make_config(**wrong)


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "learning_rate": (float("inf"), float("nan"), 0, -1, "x", 10**20),
        "warmup": (1, -0.1, float("nan"), "x"),
        "epochs": (float("inf"), float("nan"), 0, -1, 10**20),
        "seeds": ((2**32,), (-1,), (10**20,), (), (0, 0), (0.5,), (10**5000,)),
        "max_length": (0, 1, -1, 10**20),
        "batch_size": (0, -1, 10**20),
        "train_size": (0, 1, -1, 10**20),
        "eval_size": (10**20,),
        "margin": (0, 1, float("nan")),
        "strategies": ((),),
        "grammars": (("paper", "paper"),),
    }.items(),
)
def test_settings_beyond_all_sense_are_one_line(name, values):
    for value in values:
        with pytest.raises(ExperimentError, match=f"setting '{name.replace('_', '-')}' is ") as caught:
            make_config(**{name: value})
        assert len(str(caught.value)) < 500
    assert make_config(seeds=(2**32 - 1,)).seeds == (4294967295,)


def test_the_learning_rate_rises_in_a_share_of_the_steps_and_falls(settings, tmp_path, monkeypatch):
    rates, step = [], running.WatchedTrainer.training_step

    def watched(self, *given, **named):
        rates.append(self.lr_scheduler.get_last_lr()[0])
        return step(self, *given, **named)

    monkeypatch.setattr(running.WatchedTrainer, "training_step", watched)
    run(settings, tmp_path / "out", strategies=("full",), epochs=8 / 3, warmup=0.5, learning_rate=1e-3)
    assert rates == pytest.approx([0, 2.5e-4, 5e-4, 7.5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4])


def test_less_than_one_step_is_refused_before_anything_is_tagged(settings, tmp_path):
    with pytest.raises(ExperimentError, match="--epochs 1e-09 of 24 texts in batches of 8 is less than one step"):
        run(settings, tmp_path / "out", epochs=1e-9)
    assert not (tmp_path / "out").exists()
    make_config(epochs=1 / 3, batch_size=8).check_steps(24)


def test_a_training_that_diverged_is_no_row_and_loses_none(settings, tmp_path, monkeypatch):
    out, real = tmp_path / "out", Trainer.compute_loss

    def broken(self, model, inputs, **given):
        loss = real(self, model, inputs, **given)
        return loss * float("nan") if hasattr(model, "grammask_broken") else loss

    attached = apply.attach

    def attach_and_break(model, *given, **named):
        model.grammask_broken = True
        return attached(model, *given, **named)

    monkeypatch.setattr(Trainer, "compute_loss", broken)
    monkeypatch.setattr(apply, "attach", attach_and_break)
    with pytest.raises(ExperimentError, match="run paper-hard-seed0 diverged: the loss of step 1 of 3 is NaN .*0.0001"):
        run(settings, out, grammars=("paper:hard",))
    assert [path.stem for path in (out / "runs").iterdir()] == ["full-seed0"]
    monkeypatch.setattr(apply, "attach", attached)
    results, said = run(settings, out, resume=True, grammars=("paper:hard",))
    assert results["complete"]
    assert "finished before" in said[1]


def test_a_model_that_answers_nan_is_no_row(settings, tmp_path, monkeypatch):
    real = Trainer.predict

    def broken(self, *given, **named):
        found = real(self, *given, **named)
        return found._replace(predictions=found.predictions * float("inf"))

    monkeypatch.setattr(Trainer, "predict", broken)
    with pytest.raises(ExperimentError, match="run full-seed0 diverged: what the trained model answers is NaN"):
        run(settings, tmp_path / "out", strategies=("full",))
    assert not (tmp_path / "out" / "runs").exists()


def test_bars_are_for_terminals_alone_and_leave_the_line(settings, tmp_path, monkeypatch, capfd):
    real = Trainer.training_step

    def broken(self, *given, **named):
        return real(self, *given, **named) * float("nan")

    monkeypatch.setattr(Trainer, "training_step", broken)
    for terminal, out in ((False, "one"), (True, "two")):
        capfd.readouterr()
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
        with pytest.raises(ExperimentError, match="diverged"):
            run(settings, tmp_path / out, strategies=("full",))
        shown = capfd.readouterr().err
        assert ("0/3" in shown) == terminal
        assert not terminal or shown.endswith("\n")


def test_a_first_run_that_failed_leaves_a_folder_to_begin_anew_in(settings, tmp_path, monkeypatch):
    real, out = module.run, tmp_path / "out"

    def failing(*_, **__):
        raise ExperimentError("it failed")

    monkeypatch.setattr(module, "run", failing)
    with pytest.raises(ExperimentError, match="it failed"):
        run(settings, out, grammars=("paper:hard",))
    monkeypatch.setattr(module, "run", real)
    results, _ = run(settings, out, strategies=("full",))
    assert [record["id"] for record in results["runs"]] == ["full-seed0"]


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_model_that_changed_is_not_resumed(settings, tmp_path, file):
    model = tmp_path / "model"
    shutil.copytree(settings["model"], model)
    settings = settings | {"model": str(model), "strategies": ("full",)}
    run(settings, tmp_path / "out")
    assert run(settings, tmp_path / "out", resume=True)[0]["complete"]
    path = model / file
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(ExperimentError, match="another experiment .*model_files_sha256 was"):
        run(settings, tmp_path / "out", resume=True)


def test_two_grammars_of_one_name_are_refused(tmp_path):
    other = tmp_path / "mine.toml"
    other.write_text('name = "paper"\nsinks = []', encoding="utf-8")
    with pytest.raises(ExperimentError, match="two different grammars are called 'paper'"):
        plan_runs(make_config(grammars=("paper", str(other))))


def test_a_tokenizer_of_another_model_is_refused(settings, tmp_path):
    tiny_model("bert", vocab_size=20, pad_token_id=0).base_model.save_pretrained(tmp_path / "model")
    tokenizer("wordpiece").save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="doesn't belong to its model"):
        run({**settings, "model": str(tmp_path / "model")}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_flops_are_counted_exactly():
    model = tiny_model("bert")
    shape = measure_shape(model)
    # Two products of length x length x hidden size in each layer, two operations a multiplication.
    assert shape.per_pair == pytest.approx(2 * 2 * 32 * 3)
    per_token = 3 * (4 * 32 * 32 + 2 * 32 * 48) * 2
    assert shape.per_token == pytest.approx(per_token)
    assert shape.per_text == pytest.approx(2 * (32 * 32 + 32 * 3))
    assert (shape.layers, shape.heads) == (3, 4)


@pytest.mark.parametrize("name", ["paper", "minilm-heads"])
@pytest.mark.parametrize("strategy", ["full", "soft", "hard"])
def test_pairs_are_those_of_every_layer_and_head(name, strategy):
    """Heads that share a mask are counted once, and weigh as many."""
    grammar, shape = load_grammar(name), ModelShape(6, 12, 1.0, 1.0, 1.0)
    annotation = {"tag_ids": [CLS, *range(9), SEP], "word_ids": [-1, *range(9), -1], "sentence_ids": [0] * 11}
    data = Dataset.from_list([{"input_ids": [1] * 11, "attention_mask": [1] * 11, **annotation}] * 2)
    counts = measure_cost(
        data, Collator(tokenizer("wordpiece")), shape, grammar=grammar, strategy=strategy, batch_size=2
    ).counts
    layers = compile_layers(grammar, layers=6, heads=12) if strategy == "hard" else ()
    given = {column: torch.tensor([values]) for column, values in annotation.items()}
    masks = [allowed_pairs(tables, **given).expand(2, 12, -1, -1) for tables in layers]
    allowed = sum(int(mask.sum()) for mask in masks) if masks else counts.pairs
    assert (counts.allowed, counts.pairs) == (allowed, 2 * 12 * 11 * 11 * (1 if strategy == "full" else 6))


def test_planning_is_timed_on_the_batches_that_are_trained_on(monkeypatch):
    sizes, planned = [3, 9, 4, 8, 5, 7], []

    def plan(annotation, **_):
        planned.append(tuple(annotation.tag_ids.shape))
        return SimpleNamespace(mask=lambda *_: None)

    monkeypatch.setattr(cost, "Plan", plan)
    names = ("input_ids", "attention_mask", "tag_ids", "word_ids", "sentence_ids")
    data = Dataset.from_list([dict.fromkeys(names, [1] * size) for size in sizes])
    given = (data, Collator(tokenizer("wordpiece")), ModelShape(6, 12, 1.0, 1.0, 1.0))
    options = {"grammar": load_grammar("paper"), "strategy": "hard", "batch_size": 2}
    assert cost.measure_planning(*given, **options, grouped=False) > 0
    assert planned == [(2, 9), (2, 8), (2, 7)]
    planned.clear()
    cost.measure_planning(*given, **options, grouped=True)
    assert planned == [(2, 4), (2, 7), (2, 9)]
    assert cost.measure_planning(*given, **{**options, "grammar": None, "strategy": "full"}, grouped=True) == 0
    assert len(planned) == 3


def test_a_model_that_cannot_be_guided_is_refused_before_any_run(settings, tmp_path):
    made = tokenizer("wordpiece")
    config = transformers.MPNetConfig(
        vocab_size=len(made), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        pad_token_id=made.pad_token_id,
    )  # fmt: skip
    transformers.MPNetModel(config).save_pretrained(tmp_path / "model")
    made.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="mpnet .*cannot be guided"):
        run({**settings, "model": str(tmp_path / "model")}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_controls_are_runs_of_their_own_and_grammars_may_join_later(settings, tmp_path):
    out = tmp_path / "out"
    grammar = tmp_path / "near.toml"
    grammar.write_text(
        'name = "near"\nsinks = ["[CLS]", "[SEP]"]\n'
        '[[rule]]\nquery = ["NOUN", "DET", "[CLS]"]\nkey = ["NOUN", "VERB", "ADJ"]\nreach = [-2, 2]\n',
        encoding="utf-8",
    )
    changes = {"strategies": ("hard",), "controls": ("random", "shuffled", "window-sinks", "self-sinks")}
    results, _ = run(settings, out, grammars=("paper:hard", f"{grammar}:controls"), pages="last", **changes)
    assert [record["id"] for record in results["runs"]] == [
        "paper-hard-seed0", "near-hard-seed0",
        *(f"near-hard-{name}-seed0" for name in ("random", "shuffled", "window-sinks", "self-sinks")),
    ]  # fmt: skip
    density = {record["control"]: record["word_density"] for record in results["runs"][1:]}
    assert density["random"] == density[None]
    assert density["self-sinks"] < density[None]
    assert "random of near" in (out / "report.html").read_text(encoding="utf-8")
    # Another grammar and seed join; what is finished is not run again.
    more, said = run(
        settings, out, resume=True, grammars=("paper:hard", "neighbours:hard"), seeds=(0, 1), strategies=("hard",)
    )
    assert [record["id"] for record in more["runs"]][:2] == ["paper-hard-seed0", "neighbours-hard-seed0"]
    assert sum("finished before" in line for line in said) == 1
    grammar.write_text(grammar.read_text(encoding="utf-8").replace('"ADJ"', '"ADV"'), encoding="utf-8")
    assert load_grammar(out / "grammars" / "neighbours.toml") == load_grammar("neighbours")
    for seed in (0, 7):  # a run that is finished, and one that isn't
        with pytest.raises(ExperimentError, match="another grammar of that name"):
            run(settings, out, resume=True, grammars=(f"{grammar}:hard",), strategies=("hard",), seeds=(seed,))
    assert not (out / "runs" / "near-hard-seed7.json").exists()
    with pytest.raises(ExperimentError, match="unknown control 'randm'; did you mean 'random'"):
        make_config(controls=("randm",))


def test_ways_of_training_are_rows_of_their_own(settings, tmp_path):
    ways = ("ramp", "learn-layer", "learn-head")
    changes = {"grammars": ("paper",), "strategies": ("hard", "soft"), "adaptations": ways}
    results, _ = run(settings, tmp_path / "out", pages="last", **changes)
    assert [record["id"] for record in results["runs"]] == [
        "paper-hard-seed0", "paper-hard-ramp-seed0", "paper-soft-seed0", "paper-soft-learn-layer-seed0",
        "paper-soft-learn-head-seed0",
    ]  # fmt: skip
    losses = [record["training_loss"] for record in results["runs"]]
    assert len(set(losses)) == len(losses)
    assert "hard paper, ramp" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_documentation_lists_every_way_of_training_as_it_is_defined():
    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
    section = page.split("## Ways of training")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(name, way.strategy, way.description) for name, way in ADAPTATIONS.items()]


def test_the_ramp_leads_from_full_to_hard():
    model = tiny_model("bert")
    batch = {
        "input_ids": torch.arange(5, 15)[None], "tag_ids": torch.tensor([[CLS, *range(8), SEP]]),
        "word_ids": torch.tensor([[-1, *range(8), -1]]), "sentence_ids": torch.zeros(1, 10, dtype=torch.long),
    }  # fmt: skip
    full = model(input_ids=batch["input_ids"]).logits
    attach(model, "paper")
    hard = model(**batch).logits
    ramp, state = Ramp(model), TrainerState(max_steps=20)

    def at(step):
        state.global_step = step
        ramp.on_step_begin(None, state, None)
        return model(**batch).logits

    assert torch.allclose(at(0), full, atol=1e-5)
    assert (at(9) - hard).abs().max() < (at(3) - hard).abs().max()
    assert not torch.equal(at(9), hard)
    assert torch.equal(at(10), hard)
    at(5)
    ramp.on_train_end(None, state, None)
    assert torch.equal(model(**batch).logits, hard)


def test_kept_models_come_back_with_their_grammar(settings, tmp_path):
    run(settings, tmp_path / "out", grammars=("paper:hard",), strategies=("hard",), keep_models=True)
    kept = tmp_path / "out" / "models" / "paper-hard-seed0"
    model = grammask.from_pretrained(kept)
    assert grammar_of(model) == (load_grammar("paper"), "hard")
    assert (kept / "tokenizer.json").is_file()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_decoder_is_compared_over_the_pairs_that_it_reads(settings, tmp_path, side):
    """Its config names no padding token, and its answer is at the last token that isn't padding."""
    made = tokenizer("wordpiece")
    tiny_model("llama", vocab_size=len(made), pad_token_id=None).base_model.save_pretrained(tmp_path / "model")
    save_padding(made, tmp_path / "model", side)
    results, _ = run(
        settings, tmp_path / "out", model=str(tmp_path / "model"), grammars=("paper-sinks",),
        strategies=("full", "hard"),
    )  # fmt: skip
    full, hard = results["runs"]
    assert full["density"] == 1.0
    assert 0.3 < hard["density"] < 0.95
    assert hard["attention_flops_relative"] == pytest.approx(hard["density"])


def test_a_tokenizer_that_pads_on_the_left_trains_what_one_does_that_pads_on_the_right(settings, tmp_path):
    """Learned positions count from the first column of a batch."""
    (tmp_path / "data").mkdir()
    for split, rows in (("train", 24), ("dev", 9)):
        lines = [f"{'The dog barks. ' * (1 + row % 5)}\t{row % 2}" for row in range(rows)]
        (tmp_path / "data" / f"{split}.tsv").write_text("\n".join(["sentence\tlabel", *lines, ""]), encoding="utf-8")
    losses = {}
    for side in ("left", "right"):
        model = shutil.copytree(settings["model"], tmp_path / side)
        save_padding(tokenizer("wordpiece"), model, side)
        results, _ = run(settings, tmp_path / f"out-{side}", model=str(model), task=str(tmp_path / "data"))
        losses[side] = [each["training_loss"] for each in results["runs"]]
    assert losses["left"] == losses["right"]


@pytest.mark.parametrize(("name", "causal"), [("llama", True), ("gpt2", True), ("bert", False)])
def test_the_pairs_of_a_causal_model_are_those_with_tokens_before(name, causal):
    shape = measure_shape(tiny_model(name))
    assert shape.causal is causal
    allowed = torch.ones(1, 2, 3, 3, dtype=torch.bool)
    counts = count_pairs(allowed, tag_ids=torch.zeros(1, 3), word_ids=torch.tensor([[-1, 0, 1]]), causal=causal)
    assert (counts.pairs, counts.word_pairs) == ((12, 6) if causal else (18, 8))
    assert counts.density == 1.0
