"""A comparison of texts that are longer than the model's own positions, and batches of texts of about one length."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.comparisons import run
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from typer.testing import CliRunner

import grammask
from grammask.cli.app import app
from grammask.errors import ExperimentError, ModelError
from grammask.experiment import train as running
from grammask.experiment.config import make_config
from grammask.experiment.grid_file import read_grid_file
from grammask.experiment.grid_run import report_grid, run_grid
from grammask.experiment.results import rebuild_results
from grammask.model.count_positions import count_positions
from grammask.report.results_page import results_page

pytestmark = pytest.mark.usefixtures("own_cache")
LONG = 120  # tokens; the tiny model has 80 positions


@pytest.fixture(scope="module")
def long_settings(settings, tmp_path_factory):
    """Texts of 4 to more than 120 words, those of dev in no order of their lengths."""
    folder = tmp_path_factory.mktemp("long")
    for split, rows in (("train", 16), ("dev", 9)):
        lines = [f"{row % 2}\t{'the kind dog barks . ' * (1 + 7 * row % 30)}" for row in range(rows)]
        (folder / f"{split}.tsv").write_text("\n".join(["label\tsentence", *lines, ""]), encoding="utf-8")
    return {**settings, "task": str(folder), "batch_size": 4, "grammars": ("paper-sinks:hard",), "precision": "float32"}


@pytest.mark.parametrize("method", ["tile", "interpolate"])
def test_a_comparison_reads_beyond_the_positions_of_its_model(long_settings, tmp_path, method):
    out, asked = tmp_path / "out", {"positions": LONG, "position_method": method}
    results, _ = run(long_settings, out, keep_models=True, pages="last", **asked)
    assert {name: results["config"][name] for name in (*asked, "max_length")} == {**asked, "max_length": LONG}
    assert asked.items() <= json.loads((out / "config.json").read_text(encoding="utf-8")).items()
    kept = grammask.from_pretrained(out / "models" / "paper-sinks-hard-seed0")
    assert count_positions(kept) == kept.config.max_position_embeddings == LONG
    assert kept.config.grammask_positions == {"method": method, "from": 80}
    assert AutoTokenizer.from_pretrained(out / "models" / "full-seed0").model_max_length == LONG
    # Rows beyond the table were trained on: full attention has all pairs of the texts as they were cut.
    full = next(record for record in results["runs"] if record["strategy"] == "full")
    encoded = tokenizer("wordpiece")(list(_texts(long_settings)), truncation=True, max_length=LONG)["input_ids"]
    assert max(map(len, encoded)) == LONG
    assert full["pairs"] == 4 * sum(len(row) ** 2 for row in encoded)

    again, said = run(long_settings, out, resume=True, seeds=(0, 1), **asked)
    assert sum("finished before" in line for line in said) == 2
    assert again["complete"]
    another = "interpolate" if method == "tile" else "tile"
    for other in ({"max_length": 80}, {**asked, "positions": LONG + 1}, {**asked, "position_method": another}):
        with pytest.raises(ExperimentError, match="holds another experiment .*position"):
            run(long_settings, out, resume=True, **other)
    (rebuilt,) = rebuild_results([out])
    assert rebuilt.facts["config"]["positions"] == LONG


def _texts(settings):
    table = pd.read_csv(Path(settings["task"]) / "dev.tsv", sep="\t")
    return table["sentence"]


def test_texts_may_be_cut_before_the_last_position(long_settings, tmp_path):
    results, _ = run(long_settings, tmp_path / "out", positions=LONG, max_length=100, strategies=("full",))
    assert results["config"]["max_length"] == 100


def test_positions_that_cannot_be_are_one_line(long_settings, tmp_path):
    out = tmp_path / "out"
    for positions in (8, 80):
        with pytest.raises(
            ModelError, match=rf"--positions {positions} is not above the 80 tokens that model .* reads"
        ):
            run(long_settings, out, positions=positions)
    with pytest.raises(ModelError, match="--max-length 200 is more than the 120 tokens"):
        run(long_settings, out, positions=LONG, max_length=200)
    made = tokenizer("wordpiece")
    tiny_model("modernbert", vocab_size=len(made), pad_token_id=made.pad_token_id).base_model.save_pretrained(
        tmp_path / "model"
    )
    made.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="--positions 4000: modernbert reads at most .*rotary.*; leave it out"):
        run({**long_settings, "model": str(tmp_path / "model")}, out, positions=4000)
    assert not out.exists()
    for wrong in (0, 7, -1, 10**20, "many", True):
        with pytest.raises(ExperimentError, match="setting 'positions' is "):
            make_config(positions=wrong)
    with pytest.raises(ExperimentError, match="'position-method' is 'interpolate': it is how --positions are made"):
        make_config(position_method="interpolate")
    with pytest.raises(ExperimentError, match="setting 'position-method' is 'mirror'"):
        make_config(positions=LONG, position_method="mirror")


def test_the_command_takes_them(long_settings, tmp_path):
    options = {"task": long_settings["task"], "model": long_settings["model"], "strategies": "full", "batch-size": 4}
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    out = ["--out", str(tmp_path / "out")]
    answer = CliRunner().invoke(app, ["compare", *given, "--positions", "120", "--group-by-length", *out])
    assert answer.exit_code == 0, answer.output
    said = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert (said["positions"], said["position_method"], said["group_by_length"]) == (LONG, "tile", True)


def test_a_folder_from_before_these_settings_is_resumed(settings, tmp_path):
    out = tmp_path / "out"
    run(settings, out, strategies=("full",))
    path = out / "config.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    for name in ("warmup", "positions", "position_method", "group_by_length"):
        del before[name]
    path.write_text(json.dumps(before), encoding="utf-8")
    assert run(settings, out, resume=True, strategies=("full",))[0]["complete"]
    with pytest.raises(ExperimentError, match="another experiment .*group_by_length was False, is True"):
        run(settings, out, resume=True, strategies=("full",), group_by_length=True)


def test_grouped_batches_hold_texts_of_one_length_and_answers_keep_their_order(long_settings, tmp_path, monkeypatch):
    padding, step = {True: 0, False: 0}, running.WatchedTrainer.training_step
    folder = Path(shutil.copytree(long_settings["task"], tmp_path / "task"))
    train = (folder / "train.tsv").read_text(encoding="utf-8").split("\n", 1)
    (folder / "train.tsv").write_text("\n".join([train[0], train[1] * 4]), encoding="utf-8")  # 16 are sorted at a time
    long_settings = {**long_settings, "task": str(folder)}
    given = {**long_settings, "positions": LONG, "batch_size": 2, "strategies": ("full",)}
    for grouped in padding:

        def watched(self, model, inputs, *others, grouped=grouped, **named):
            padding[grouped] += int((inputs["attention_mask"] == 0).sum())
            return step(self, model, inputs, *others, **named)

        monkeypatch.setattr(running.WatchedTrainer, "training_step", watched)
        run(given, tmp_path / str(grouped), group_by_length=grouped, keep_models=True)
    assert padding[True] < padding[False] / 2
    out = tmp_path / "True"
    table = pd.read_csv(out / "predictions" / "full-seed0.csv")
    kept = AutoModelForSequenceClassification.from_pretrained(out / "models" / "full-seed0").eval()
    read = AutoTokenizer.from_pretrained(out / "models" / "full-seed0")
    for text, probability in zip(_texts(long_settings), table["probability 1"], strict=True):
        with torch.no_grad():
            answer = kept(**read(text, truncation=True, return_tensors="pt")).logits.softmax(1)[0, 1]
        assert float(answer) == pytest.approx(probability, abs=1e-5)


def test_a_grid_file_names_them_and_its_page_tells_how(long_settings, tmp_path):
    grid, out = tmp_path / "grid.toml", tmp_path / "out"
    grid.write_text(
        f'[settings]\nmodel = "{long_settings["model"]}"\npositions = {LONG}\nposition_method = "interpolate"\n'
        f'batch_size = 4\n[tasks.long]\ntask = "{long_settings["task"]}"\n[tasks.short]\ntask = '
        f'"{long_settings["task"]}"\nmax_length = 16\nwarmup = 0.25\n[[rows]]\nstrategies = ["full"]\ngrammars = []\n',
        encoding="utf-8",
    )
    comparisons = read_grid_file(grid)
    assert [config.max_length for _, config in comparisons] == [LONG, 16]
    run_grid(comparisons, out, resume=False, progress=lambda tagged, *_: tagged, say=lambda _: None)
    summary = report_grid(comparisons, out)
    assert f"--max-length {LONG} --positions {LONG} --position-method interpolate " in results_page(summary)
    assert f"--max-length 16 --warmup 0.25 --positions {LONG} --position-method interpolate " in results_page(summary)
