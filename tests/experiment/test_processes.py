"""Several processes that train one comparison: they get what one gets, and only the main one writes and prints."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.comparisons import run
from transformers import AutoConfig

from grammask.errors import ExperimentError
from grammask.experiment.config import make_config
from grammask.experiment.processes import Processes

LAUNCHERS = {
    "torchrun": ("torchrun", "--nproc-per-node", "2", "--no-python"),
    "accelerate": ("accelerate", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--no_python"),
}
OPTIONS = {
    "batch_size": 8, "epochs": 2.0, "learning_rate": 1e-3, "strategies": ("full", "hard"), "grammars": ("paper-sinks",),
    "precision": "float32",
}  # fmt: skip


def launch(launcher, settings, out):
    """Start `grammask compare` in two processes, as a user does."""
    options = [
        part
        for name, value in {**settings, **OPTIONS}.items()
        for part in (
            f"--{name.rstrip('s') if name == 'grammars' else name}".replace("_", "-"),
            ",".join(value) if isinstance(value, tuple) else str(value),
        )
    ]
    scripts = Path(sys.executable).parent
    program, *how = LAUNCHERS[launcher]
    command = [scripts / program, *how, scripts / "grammask", "compare", *options, "--out", out]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def without_dropout(settings):
    """Two processes draw other weights to drop than one does."""
    config = AutoConfig.from_pretrained(settings["model"])
    config.update({"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    config.save_pretrained(settings["model"])


def answers(out):
    return {
        path.name: [[float(number) for number in row[3:]] for row in [*csv.reader(path.open())][1:]]
        for path in (out / "predictions").glob("*.csv")
    }


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_train_what_one_trains(launcher, settings, tmp_path):
    without_dropout(settings)
    done = launch(launcher, settings, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run 1 of 2") == 1
    run(settings, tmp_path / "one", **OPTIONS)
    one, two = answers(tmp_path / "one"), answers(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, rows in one.items():
        for row, other in zip(rows, two[name], strict=True):
            assert row == pytest.approx(other, abs=1e-6)
    for path in (tmp_path / "one" / "runs").glob("*.json"):
        record, other = (json.loads((tmp_path / each / "runs" / path.name).read_text()) for each in ("one", "two"))
        assert record["training_loss"] == pytest.approx(other["training_loss"], abs=1e-6)
        assert [each["environment"]["processes"] for each in (record, other)] == [1, 2]


@pytest.mark.slow
def test_a_refusal_ends_all_processes(settings, tmp_path):
    (tmp_path / "mine.txt").write_text("something")
    done = launch("torchrun", settings, tmp_path)
    assert done.returncode != 0
    assert "isn't empty" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt"]


def test_one_process_is_the_main_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes = Processes()
    assert processes.is_main
    assert processes.share("what is sent") == "what is sent"
    assert processes.mean(0.5) == 0.5
    assert processes.split(7) == 7


def test_a_batch_that_cannot_be_split_is_refused(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(Processes, "__init__", lambda self: vars(self).update(count=3, is_main=True))
    with pytest.raises(ExperimentError, match="--batch-size 8 cannot be split over 3 processes; take a multiple of 3"):
        run(settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert Processes().split(make_config(batch_size=9).batch_size) == 3
