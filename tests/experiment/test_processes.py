"""Several processes that train one comparison: they get what one gets, and only the main one writes and prints."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pytest
from accelerate import PartialState
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


def arguments(settings, out, *more):
    options = [
        part
        for name, value in settings.items()
        for part in (
            f"--{name.rstrip('s') if name == 'grammars' else name}".replace("_", "-"),
            ",".join(value) if isinstance(value, tuple) else str(value),
        )
    ]
    return ["compare", *options, *more, "--out", out]


def launch(launcher, settings, out, *more):
    """Start `grammask compare` in two processes, as a user does."""
    scripts = Path(sys.executable).parent
    program, *how = LAUNCHERS[launcher]
    command = [scripts / program, *how, scripts / "grammask", *arguments({**settings, **OPTIONS}, out, *more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def without_dropout(settings):
    """Two processes draw other weights to drop than one does."""
    config = AutoConfig.from_pretrained(settings["model"])
    config.update({"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    config.save_pretrained(settings["model"])


def write_texts_of_many_lengths(folder):
    """Write so many texts that halves of batches, grouped by length, would be other batches than whole ones."""
    folder.mkdir()
    for split, rows in (("train", 80), ("dev", 9)):
        lines = [f"{row % 2}\t{'the kind dog barks . ' * (1 + 7 * row % 11)}{row}" for row in range(rows)]
        (folder / f"{split}.tsv").write_text("\n".join(["label\tsentence", *lines, ""]), encoding="utf-8")


def answers(out):
    return {
        path.name: [[float(number) for number in row[3:]] for row in [*csv.reader(path.open())][1:]]
        for path in (out / "predictions").glob("*.csv")
    }


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "grouped"), [*((launcher, False) for launcher in LAUNCHERS), ("torchrun", True)])
def test_two_processes_train_what_one_trains(launcher, grouped, settings, tmp_path):
    without_dropout(settings)
    if grouped:
        settings = {**settings, "task": str(tmp_path / "data")}
        write_texts_of_many_lengths(tmp_path / "data")
    done = launch(launcher, settings, tmp_path / "two", *["--group-by-length"] * grouped)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run 1 of 2") == 1
    run(settings, tmp_path / "one", **OPTIONS, group_by_length=grouped)
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


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"WORLD_SIZE": "2"}, "RANK is '', no number from 0"),
        *(({"WORLD_SIZE": count, "RANK": "0"}, "WORLD_SIZE") for count in ("", "two", "0", "-3", "1e3", "9" * 5000)),
        *(({"WORLD_SIZE": "2", "RANK": rank}, "RANK") for rank in ("", "x", "-1")),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "didn't find each other"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "no"}, "didn't find each other"),
    ],
)
def test_what_no_launcher_says_is_one_line(monkeypatch, said, wrong):
    launched = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    others = {name: value for name, value in os.environ.items() if name not in launched}
    monkeypatch.setattr(PartialState, "_shared_state", {})  # it remembers what failed
    # accelerate adds to the environment; all of it is put back.
    environment = {**others, "ACCELERATE_USE_CPU": "true", **said}
    with patch.dict(os.environ, environment, clear=True), pytest.raises(ExperimentError, match=wrong) as raised:
        Processes()
    assert "torchrun" in str(raised.value)
    assert "\n" not in str(raised.value)


WAITING = """
import os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: None)  # as a listener does: in Python, which doesn't run meanwhile
print("listening", flush=True)
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
os.environ |= {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
os.environ["ACCELERATE_USE_CPU"] = "true"
from grammask.experiment.processes import Processes
Processes()
"""


def test_a_process_that_waits_for_the_others_can_be_ended():
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout.readline() == "listening\n"
        ended = None
        for _ in range(600):
            time.sleep(0.1)
            if (ended := waiting.poll()) is not None:
                break
            waiting.terminate()
        waiting.kill()
    assert ended == -signal.SIGTERM


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_is_killed_ends_the_other_in_one_line(settings, tmp_path, killed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [
        Path(sys.executable).parent / "grammask",
        *arguments({**settings, **OPTIONS, "epochs": 9999.0}, tmp_path / "out"),
    ]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    both = [
        subprocess.Popen(
            command, env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    told = iter(both[0].stdout.readline, "")
    assert any("run 1 of" in line for line in told)
    time.sleep(5)  # now it trains
    both[killed].kill()
    _, said = both[1 - killed].communicate(timeout=120)
    both[killed].communicate()
    assert both[1 - killed].returncode == 2
    assert "another process ended before its time" in said.splitlines()[-1]


def test_a_batch_that_cannot_be_split_is_refused(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(Processes, "__init__", lambda self: vars(self).update(count=3, is_main=True))
    with pytest.raises(ExperimentError, match="--batch-size 8 cannot be split over 3 processes; take a multiple of 3"):
        run(settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert Processes().split(make_config(batch_size=9).batch_size) == 3
