"""The folder of a comparison: one process at a time, and records that are what they say."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.records import SHA256, a_record

from grammask.cli.app import app, run_plainly
from grammask.errors import ExperimentError
from grammask.experiment.folder import Folder, open_folder
from grammask.experiment.results import read_results, rebuild_results
from grammask.files.lock import LOCK, locked
from grammask.files.write import TEMPORARY, dump
from grammask.grammar.file import load_grammar

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "results" / "records"


def facts(**changes):
    config = {
        "task": "t", "model": "m", "tagger": "g", "train_size": None, "epochs": 1.0, "batch_size": 8,
        "learning_rate": 0.1, "max_length": 64, "metric": "accuracy", "margin": 0.01,
    }  # fmt: skip
    task = {
        "name": "t", "labels": ["bad", "good"], "note": "", "train_rows": 9, "train_available": 9, "dev_rows": 4,
        "dev_available": 4, "sha256": SHA256,
    }  # fmt: skip
    model = {"name": "m", "model_type": "bert", "layers": 1, "sha256": SHA256}
    return {
        "format": 1, "config": config, "task": task, "model": model, "tagger": {"name": "g"},
        "environment": {"commit": None}, "answers": "0 1 1 1", "planned_runs": 2,
        "planned": ["full-seed0", "paper-hard-seed0"], **changes,
    }  # fmt: skip


@pytest.fixture
def made(tmp_path):
    """A finished comparison of two runs."""
    folder = tmp_path / "made"
    (folder / "runs").mkdir(parents=True)
    (folder / "results.json").write_text(dump(facts()), encoding="utf-8")
    for run in ("paper-hard-seed0", "full-seed0"):
        (folder / "runs" / f"{run}.json").write_text(dump(a_record(run)), encoding="utf-8")
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_results_hold_all_records_and_are_complete_when_what_was_planned_is_there(made):
    def results():
        rebuild_results([made])
        found = json.loads((made / "results.json").read_text(encoding="utf-8"))
        return [run["id"] for run in found["runs"]], found["finished_runs"], found["complete"]

    assert results() == (["full-seed0", "paper-hard-seed0"], 2, True)
    # One of another seed joined, and one that was planned is gone.
    (made / "runs" / "full-seed7.json").write_text(dump(a_record("full-seed7")), encoding="utf-8")
    assert results() == (["full-seed0", "paper-hard-seed0", "full-seed7"], 2, True)
    (made / "runs" / "full-seed0.json").unlink()
    assert results() == (["paper-hard-seed0", "full-seed7"], 1, False)
    assert "1 of 2 runs are finished" in (made / "report.html").read_text(encoding="utf-8")


WRONG = {
    "another's name": ({"id": "full-seed1"}, "its id is 'full-seed1', but its fields are those of 'full-seed0'"),
    "another's fields": ({"seed": 1}, "its id is 'full-seed0', but its fields are those of 'full-seed1'"),
    "a grammar under full": ({"grammar": "x", "id": "x-full-seed0"}, "has no grammar"),
    "no grammar under hard": ({"strategy": "hard", "id": "hard-seed0"}, "has no grammar"),
    "a strategy of its own": ({"strategy": "gentle"}, "strategy: "),
    "a control of its own": ({"control": "../../x"}, "unknown control"),
    "a grammar as a path": ({"grammar": "../x", "strategy": "hard"}, "grammar is '../x'"),
    "a seed as text": ({"seed": "0"}, "seed: "),
    "a seed as a truth": ({"seed": True}, "seed: "),
    "a seed below 0": ({"seed": -1}, "seed: "),
    "an accuracy as text": ({"accuracy": "0.75"}, "accuracy: "),
    "an accuracy that is none": ({"accuracy": float("nan")}, "accuracy: "),
    "an accuracy of percents": ({"accuracy": 75}, "accuracy: "),
    "another accuracy": ({"accuracy": 0.5}, "accuracy is 0.5, that of its predictions 0.75"),
    "an endless loss": ({"training_loss": float("inf")}, "training_loss: "),
    "a loss that is none": ({"training_loss": float("nan")}, "training_loss: "),
    "no loss": ({"training_loss": None}, "training_loss: "),
    "a correlation beyond 1": ({"matthews": 1.5}, "matthews: "),
    "half an interval": ({"accuracy_interval": [0.5]}, "accuracy_interval: "),
    "seconds as a number": ({"seconds": 5}, "seconds: "),
    "seconds below 0": ({"seconds": {"tagging": 0, "planning": 0, "training": -1, "evaluation": 1}}, "training: "),
    "a memory of halves": ({"peak_memory_bytes": 0.5}, "peak_memory_bytes: "),
    "a memory beyond all": ({"peak_memory_bytes": 10**400 - 1}, "peak_memory_bytes: "),
    "a memory beyond all machines": ({"peak_memory_bytes": 10**15 + 1}, "peak_memory_bytes: "),
    "costs beyond all": ({"attention_flops_relative": 1e308}, "attention_flops_relative: "),
    "a loss beyond all": ({"training_loss": -1e308}, "training_loss: "),
    "an interval beyond all": ({"accuracy_interval": [0.5, 1e308]}, "accuracy_interval"),
    "an hour of its own": ({"finished_at": "yesterday"}, "finished_at: "),
    "an environment as text": ({"environment": "linux"}, "environment: "),
    "a hash of its own": ({"grammar_sha256": "abc"}, "grammar_sha256: "),
    "predictions as a list": ({"predictions": [0, 1, 1, 0]}, "predictions: "),
    "no predictions": ({"predictions": ""}, "predictions: "),
    "predictions as words": ({"predictions": "bad good good bad"}, "predictions: "),
    "a prediction less": ({"predictions": "0 1 1"}, "3 predictions for 4 texts"),
    "a prediction more": ({"predictions": "0 1 1 0 0"}, "5 predictions for 4 texts"),
    "a class beyond all": ({"predictions": "0 1 1 2"}, "predicts label 2 of 2 classes"),
    "a class below all": ({"predictions": "0 1 1 -1"}, "predictions: "),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_record_that_is_wrong_is_named_and_nothing_is_written(made, kind):
    changes, message = WRONG[kind]
    path = made / "runs" / "full-seed0.json"
    path.write_text(json.dumps(a_record("full-seed0", **changes)), encoding="utf-8")
    before = contents(made)
    with pytest.raises(ExperimentError) as told:
        rebuild_results([made])
    assert message in str(told.value)
    assert str(path) in str(told.value)
    assert "delete it" in str(told.value)
    assert contents(made) == before


@pytest.mark.parametrize("key", sorted(a_record("full-seed0")))
def test_a_record_without_one_of_its_keys_is_damaged(made, key):
    record = a_record("full-seed0")
    del record[key]
    (made / "runs" / "full-seed0.json").write_text(dump(record), encoding="utf-8")
    with pytest.raises(ExperimentError, match="full-seed0.json: .*delete it"):
        read_results(made)


@pytest.mark.parametrize("changes", [{"format": 99}, {"format": "1"}, {"format": None}, {"planned_runs": 10**400}])
def test_results_of_another_format_are_refused(made, changes):
    (made / "results.json").write_text(dump(facts(**changes)), encoding="utf-8")
    before = contents(made)
    with pytest.raises(ExperimentError, match=f"results.json: {next(iter(changes))}: Input should be "):
        rebuild_results([made])
    assert contents(made) == before


def test_the_largest_record_is_reported(made):
    most = {"peak_memory_bytes": 10**15, "attention_flops_relative": 1e15, "training_loss": 1e15}
    (made / "runs" / "full-seed0.json").write_text(dump(a_record("full-seed0", **most)), encoding="utf-8")
    (found,) = rebuild_results([made])
    assert found.summary[0]["peak_memory_bytes"] == 10**15
    assert "inf" not in (made / "report.html").read_text(encoding="utf-8").split("<body")[1].replace("inferior", "")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 99999, b"1" * 5000, b'{"id": 1'])
@pytest.mark.parametrize("name", ["results.json", "runs/full-seed0.json"])
def test_a_damaged_file_is_one_line(made, name, content):
    (made / name).write_bytes(content)
    with pytest.raises(ExperimentError, match="it is damaged: delete it"):
        read_results(made)


def test_a_record_that_was_copied_counts_once(made):
    shutil.copy(made / "runs" / "full-seed0.json", made / "runs" / "full-seed1.json")
    with pytest.raises(ExperimentError, match="full-seed1.json is the record of full-seed0, under another name"):
        rebuild_results([made])
    (made / "runs" / "full-seed1.json").rename(made / "runs" / "full-seed0 (copy).json")
    with pytest.raises(ExperimentError, match=r"\(copy\).json is the record of full-seed0, under another name"):
        rebuild_results([made])


def test_one_damaged_folder_of_several_leaves_the_others_as_they_are(made, tmp_path):
    other = shutil.copytree(made, tmp_path / "other")
    (other / "runs" / "full-seed0.json").write_text("{", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(ExperimentError, match="damaged"):
        rebuild_results([made, other])
    assert contents(tmp_path) == before


@pytest.mark.parametrize("task", ["sst2", "cola", "trec", "subj", "far-names"])
def test_the_records_of_the_project_are_readable(task):
    found = read_results(RECORDS / task)
    assert len(found.records) == len(list((RECORDS / task / "runs").glob("*.json")))


def grid():
    return json.loads((ROOT / "results" / "grid.json").read_text(encoding="utf-8"))


def without_row(found):
    found["tasks"][0]["rows"].pop(1)


DAMAGED_GRIDS = {
    "no tasks": lambda found: found.pop("tasks"),
    "tasks as text": lambda found: found.update(tasks="sst2"),
    "no task": lambda found: found.update(tasks=[]),
    "a row less": without_row,
    "a mean without interval": lambda found: found["means"][0].pop("interval"),
    "half an interval": lambda found: found["means"][0].update(interval=[0.1]),
    "a difference as text": lambda found: found["means"][0].update(difference="0.1"),
    "a difference that is none": lambda found: found["means"][0].update(difference=float("nan")),
    "a difference beyond all": lambda found: found["means"][0].update(difference=1e308),
    "another format": lambda found: found.update(format=2),
    "a metric of its own": lambda found: found["tasks"][0].update(metric="beauty"),
    "half a comparison": lambda found: found["tasks"][0]["rows"][1].update(p_holm=None),
    "no environment": lambda found: found["tasks"][0].update(environments=[]),
}


@pytest.mark.parametrize("kind", DAMAGED_GRIDS)
def test_a_damaged_record_of_a_grid_is_one_line_and_stays_as_it_is(tmp_path, capsys, kind):
    found = grid()
    DAMAGED_GRIDS[kind](found)
    (tmp_path / "grid.json").write_text(json.dumps(found), encoding="utf-8")
    (tmp_path / "results.md").write_text("before", encoding="utf-8")
    before = contents(tmp_path)
    assert run_plainly(lambda: app(["compare", "--report-only", str(tmp_path / "grid.json")])) == 2
    told = capsys.readouterr().err
    assert "name the grid.json of a page, or the folders of finished comparisons" in told
    assert len(told.splitlines()) == 1
    assert contents(tmp_path) == before


HOLD = (
    "import sys; from pathlib import Path; from grammask.files.lock import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
)


def test_a_folder_belongs_to_one_process_and_to_none_after_a_kill(tmp_path):
    folder = tmp_path / "deep" / "out"
    other = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    before = contents(tmp_path)
    with (
        pytest.raises(ExperimentError, match="out is in use by another process; wait"),
        open_folder(folder, resume=False),
    ):
        pass
    assert contents(tmp_path) == before
    other.kill()
    other.communicate()
    assert (folder / LOCK).exists()
    (folder / TEMPORARY.replace("*", "0")).write_text("half", encoding="utf-8")
    with open_folder(folder, resume=False) as opened:  # what a kill left before anything was whole is no experiment
        opened.begin({"task": "t"})
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    with (
        pytest.raises(ExperimentError, match="isn't empty; continue it with --resume"),
        open_folder(folder, resume=False),
    ):
        pass
    (folder / "runs").mkdir()
    (folder / "runs" / TEMPORARY.replace("*", "1")).touch()
    with open_folder(folder, resume=True):
        pass
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["config.json"]


def test_a_lock_leaves_no_trace_where_nothing_was_written(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "a" / "b"):
        raise KeyError
    assert not list(tmp_path.iterdir())
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExperimentError, match="cannot be written"), locked(tmp_path / "theirs"):
        pass
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match="file is a file"), open_folder(tmp_path / "file", resume=False):
        pass


def test_a_folder_filled_meanwhile_is_refused(tmp_path, monkeypatch):
    real = Folder.__init__
    seen = []

    def filled(self, path, *, resume):
        real(self, path, resume=resume)
        if not seen:  # between the first look and the lock, another process came and went
            (path / "config.json").write_text("{}", encoding="utf-8")
        seen.append(path)

    monkeypatch.setattr(Folder, "__init__", filled)
    with pytest.raises(ExperimentError, match="isn't empty"), open_folder(tmp_path, resume=False):
        pass


def test_a_comparison_that_finished_no_run_is_begun_anew_by_the_same_command(tmp_path):
    identity = {"task": "t", "task_sha256": SHA256}
    with open_folder(tmp_path, resume=False) as opened:
        opened.begin(identity)
        opened.keep(load_grammar("paper"))
    with open_folder(tmp_path, resume=False) as opened:
        opened.begin(identity | {"task": "u"})
        opened.keep(load_grammar("paper-sinks"))
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"config.json", "grammars/paper-sinks.toml"}
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["task"] == "u"
    with open_folder(tmp_path, resume=True) as opened, pytest.raises(ExperimentError, match="task was 'u', is 't'"):
        opened.begin(identity)
    (tmp_path / "runs").mkdir()
    with pytest.raises(ExperimentError, match="isn't empty"), open_folder(tmp_path, resume=False):
        pass


def test_a_config_of_others_is_never_written_over(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(ExperimentError, match="isn't empty"), open_folder(tmp_path, resume=False):
        pass


def test_only_the_experiments_own_places_are_swept(made):
    swept = ["", "runs", "grammars", "predictions"]
    kept = ["a/b", "runs/other", "models/full-seed0", "task/runs"]
    left = {place: made / place / TEMPORARY.replace("*", "abc") for place in (*swept, *kept)}
    for file in left.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (made / TEMPORARY.replace("*", "x")).mkdir()
    rebuild_results([made])
    assert [place for place, file in left.items() if file.exists()] == kept
    assert (made / TEMPORARY.replace("*", "x")).is_dir()
    assert json.loads((made / "results.json").read_text(encoding="utf-8"))["finished_runs"] == 2


def test_a_folder_that_is_no_experiment_is_neither_locked_nor_swept(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    for place in ("", "runs"):
        (tmp_path / place / TEMPORARY.replace("*", "abc")).touch()
    before = contents(tmp_path)
    monkeypatch.setattr("grammask.experiment.results.locked", None)
    assert run_plainly(lambda: app(["compare", "--report-only", "--out", str(tmp_path)])) == 2
    assert capsys.readouterr().err.strip() == f"grammask: {tmp_path} holds no finished run of a comparison"
    assert contents(tmp_path) == before


def test_a_folder_named_like_a_temporary_file_is_left_alone(tmp_path):
    (tmp_path / TEMPORARY.replace("*", "x")).mkdir()
    with pytest.raises(ExperimentError, match="isn't empty"), open_folder(tmp_path, resume=False):
        pass
    with locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [TEMPORARY.replace("*", "x")]


def test_figures_are_written_over_with_force_only(made, tmp_path, capsys):
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "summary.csv").write_text("mine", encoding="utf-8")
    before = contents(tmp_path)
    command = ["compare", "--report-only", "--out", str(made), "--figures", str(figures)]
    for more in ((), ("--resume",)):
        assert run_plainly(lambda more=more: app([*command, *more])) == 2
        assert "figures isn't empty; name another folder, or overwrite it with --force" in capsys.readouterr().err
    assert contents(tmp_path) == before
    assert run_plainly(lambda: app([*command, "--force"])) == 0
    assert (figures / "summary.csv").read_text(encoding="utf-8").startswith("grammar,strategy,control,")
