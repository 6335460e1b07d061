"""Comparisons whose query, key and value weights begin anew: in all runs, or in those of a grammar only."""

import json
import re
from pathlib import Path

import pytest
from helpers.comparisons import run
from helpers.fresh_process import run_script
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

import grammask
from grammask.cli.app import app
from grammask.cli.compare_table import summary_table
from grammask.errors import ExperimentError
from grammask.experiment.config import make_config
from grammask.experiment.grid_summary import read_task_folders, summarise_grid
from grammask.experiment.plan_runs import plan_runs
from grammask.experiment.results import rebuild_results
from grammask.report.compare_page import render_report
from grammask.report.results_page import results_page

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def three(settings, tmp_path_factory):
    """One comparison of each kind: their results and folders, by name."""
    place, found = tmp_path_factory.mktemp("three"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAMMASK_CACHE", str(place / "cache"))
        for attention in ("kept", "as-paper", "fresh"):
            out = place / attention
            results, _ = run(settings, out, grammars=("paper",), attention=attention, precision="float32")
            found[attention] = results, out
    return found


def test_the_paper_draws_the_weights_of_guided_runs_only(three):
    losses = {
        attention: {record["id"]: record["training_loss"] for record in results["runs"]}
        for attention, (results, _) in three.items()
    }
    assert list(losses["kept"]) == ["full-seed0", "paper-hard-seed0", "paper-soft-seed0"]
    assert list(losses["as-paper"]) == ["full-seed0", "paper-hard-fresh-seed0", "paper-soft-fresh-seed0"]
    assert list(losses["fresh"]) == ["full-fresh-seed0", "paper-hard-fresh-seed0", "paper-soft-fresh-seed0"]
    # The runs of the paper's setting are those of the two others.
    assert losses["as-paper"].items() <= (losses["kept"] | losses["fresh"]).items()
    assert losses["fresh"]["full-fresh-seed0"] != losses["kept"]["full-seed0"]
    assert losses["fresh"]["paper-hard-fresh-seed0"] != losses["kept"]["paper-hard-seed0"]


def test_it_is_recorded_and_told(three):
    for attention, (results, folder) in three.items():
        assert results["config"]["attention"] == attention
        assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["attention"] == attention
        summary = results["summary"]
        assert [row["difference"] is None for row in summary] == [True, False, False]
        assert ("fresh" in results["meanings"]) == (attention != "kept")
        page = render_report(results)
        assert ("hard paper, fresh" in page) == (attention != "kept")
        assert ("full, fresh" in page) == (attention == "fresh")
        assert ("hard, fresh" in str(list(summary_table(results).columns[0].cells))) == (attention != "kept")
        (rebuilt,) = rebuild_results([folder])
        assert json.loads(json.dumps(rebuilt.to_dict())) == json.loads(json.dumps(results))
    page = results_page(summarise_grid(read_task_folders([folder for _, folder in three.values()])))
    for attention in ("fresh", "as-paper"):
        assert f"--attention {attention} " in page
    assert "--attention kept" not in page
    for name in ("hard paper", "hard paper, fresh", "hard paper, fresh (full: its own weights)"):
        assert page.count(f"| {name} | 1 | 1 |") == 1


def test_a_folder_holds_one_kind(settings, three):
    _, folder = three["as-paper"]
    again, said = run(settings, folder, resume=True, grammars=("paper",), attention="as-paper", precision="float32")
    assert again["complete"]
    assert sum("finished before" in line for line in said) == 3
    assert "fresh hard attention, grammar paper, seed 0" in " ".join(said)
    with pytest.raises(ExperimentError, match="attention was 'as-paper', is 'fresh'"):
        run(settings, folder, resume=True, grammars=("paper",), attention="fresh", precision="float32")


def test_controls_and_ways_of_training_begin_anew_too():
    specs, _ = plan_runs(
        make_config(grammars=("paper",), controls=("random",), adaptations=("ramp",), attention="as-paper")
    )
    assert {spec.id for spec in specs} == {
        "full-seed0", "paper-hard-fresh-seed0", "paper-hard-ramp-fresh-seed0", "paper-hard-random-fresh-seed0",
        "paper-soft-fresh-seed0",
    }  # fmt: skip
    with pytest.raises(ExperimentError, match="setting 'attention' is 'new'"):
        make_config(attention="new")


def test_the_command_takes_it(settings, tmp_path):
    given = ["--task", settings["task"], "--model", settings["model"], "--strategies", "full", "--batch-size", "8"]
    out = tmp_path / "out"
    answer = CliRunner().invoke(app, ["compare", *given, "--attention", "fresh", "--keep-models", "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    assert AutoModelForSequenceClassification.from_pretrained(out / "models" / "full-fresh-seed0")
    assert "full, fresh" in answer.output


@pytest.mark.slow
def test_the_papers_door_runs_both_and_prints_its_figures_beside_ours(settings, tmp_path):
    made = tokenizer("wordpiece")
    tiny = tiny_model("bert", vocab_size=len(made), pad_token_id=made.pad_token_id, max_position_embeddings=128)
    tiny.base_model.save_pretrained(tmp_path / "model")
    made.save_pretrained(tmp_path / "model")
    given = ["--task", settings["task"], "--model", tmp_path / "model", "--epochs", "1", "--seeds", "0"]
    script = Path(grammask.__file__).parents[2] / "run_experiment.py"
    done = run_script(script, *given, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"the paper +as-paper +kept", done.stdout)
    for strategy, figure in (("full", "0.8200"), ("hard", "0.8200"), ("soft", "0.8165")):
        assert re.search(rf"{strategy} +{figure} +0\.\d{{4}} \[0\.\d{{4}}, \d\.\d{{4}}\] +0\.\d{{4}}", done.stdout)
    for attention, name in (("as-paper", "paper-hard-fresh-seed0"), ("kept", "paper-hard-seed0")):
        assert (tmp_path / "out" / attention / "runs" / f"{name}.json").is_file()
    assert (tmp_path / "out" / "results.md").is_file()
