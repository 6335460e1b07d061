"""Runs that were made again are compared with those of before: what moved, by how much, on each task and on average."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "compare_again.py"))
ROWS = ("full", "minilm-heads-hard", "english-near-hard")


def records(place, tasks, *, rows=ROWS):
    for task in tasks:
        (place / task / "runs").mkdir(parents=True)
        shutil.copy(ROOT / "results" / "records" / task / "results.json", place / task)
        for row in rows:
            for seed in (0, 1):
                shutil.copy(
                    ROOT / "results" / "records" / task / "runs" / f"{row}-seed{seed}.json", place / task / "runs"
                )


def test_only_what_changed_has_moved(tmp_path, monkeypatch, capsys):
    records(tmp_path / "old", ["trec", "subj"])
    records(tmp_path / "new", ["subj"], rows=ROWS[1:])
    changed = tmp_path / "new" / "subj" / "runs" / "minilm-heads-hard-seed0.json"
    run = json.loads(changed.read_text(encoding="utf-8"))
    answers = run["predictions"].split()
    truth = json.loads((tmp_path / "new" / "subj" / "results.json").read_text(encoding="utf-8"))["answers"].split()
    wrong = next(place for place, answer in enumerate(answers) if answer != truth[place])
    answers[wrong] = truth[wrong]
    changed.write_text(
        json.dumps({**run, "predictions": " ".join(answers), "accuracy": run["accuracy"] + 0.001}), encoding="utf-8"
    )
    out = tmp_path / "moved.json"
    monkeypatch.setattr(
        sys, "argv", ["", str(tmp_path / "old"), str(tmp_path / "new"), "--tasks", "trec,subj", "--out", str(out)]
    )
    SCRIPT["main"]()
    moved = {(row["grammar"], row["task"]): row for row in json.loads(out.read_text(encoding="utf-8"))["rows"]}
    assert set(moved) == {(row, task) for row in ("minilm-heads", "english-near") for task in ("subj", "mean")}
    one_of_two_thousand = 1 / 2000  # one of 1,000 texts, by one of two seeds
    assert moved["minilm-heads", "subj"]["moved"]["value"] == pytest.approx(one_of_two_thousand)
    assert moved["minilm-heads", "mean"]["moved"]["value"] == pytest.approx(one_of_two_thousand / 2)
    assert moved["english-near", "subj"]["moved"] == {"value": 0.0, "interval": [0.0, 0.0]}
    row = moved["english-near", "mean"]
    assert row["new_to_full"] == row["old_to_full"]
    assert row["old_to_full"]["value"] < 0
    assert "| subj | minilm-heads hard | " in capsys.readouterr().out
