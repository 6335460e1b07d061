"""The measurement of long documents (scripts/measure_long_documents.py): each is tested once, and none gets out."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer

from grammask.errors import ExperimentError
from grammask.experiment import results

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "measure_long_documents.py"))
TEXTS = [f"the kind dog barks at cat {number} . " * (80 if number % 5 == 0 else 1 + number) for number in range(10)]


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call the script on documents with a tiny model; returns the record."""
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(results, "write_report", lambda *_, **__: None)  # it takes longer than a run
    made = tokenizer("wordpiece")
    model = tiny_model("bert", vocab_size=len(made), pad_token_id=made.pad_token_id, max_position_embeddings=512)
    model.base_model.save_pretrained(tmp_path / "tiny")
    made.save_pretrained(tmp_path / "tiny")
    lines = [f"{int(number % 3 == 0)}\t{text}" for number, text in enumerate(TEXTS)]
    (tmp_path / "documents.tsv").write_text("\n".join([*lines, ""]), encoding="utf-8")

    def call_with(*more, arms="cut,whole-grammar"):
        given = ["--work", tmp_path / "work", "--out", tmp_path / "record.json", "--model", tmp_path / "tiny"]
        options = ["--arms", arms, "--folds", 2, "--epochs", 1, "--precision", "float32", *more]
        monkeypatch.setattr(sys, "argv", ["script", *map(str, [tmp_path / "documents.tsv", *given, *options])])
        SCRIPT["main"]()
        return json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))

    return call_with


def test_each_document_is_tested_once_and_folds_share_the_labels():
    labels = [1] * 10 + [0] * 15
    documents = SCRIPT["Documents"](labels, [""] * 25, [*range(25)], "")
    folds = list(documents.folds(5))
    assert sorted(number for _, tested in folds for number in tested) == [*range(25)]
    for trained, tested in folds:
        assert sorted(trained + tested) == [*range(25)]
        assert tested == sorted(tested)
        assert sum(labels[number] for number in tested) == 2


def test_the_record_holds_arms_and_differences_and_no_text(call, capsys):
    record = call()
    cut, whole = record["arms"]
    assert (cut["name"], whole["name"], cut["grammar"], whole["grammar"]) == (
        "cut", "whole-grammar", None, "english-long"
    )  # fmt: skip
    assert len(cut["correct"]) == 10
    assert cut["accuracy"]["all"]["value"] == pytest.approx(cut["correct"].count("1") / 10)
    (difference,) = record["differences"]
    assert difference["all"]["value"] == pytest.approx(
        whole["accuracy"]["all"]["value"] - cut["accuracy"]["all"]["value"]
    )
    assert record["documents"]["longer_than_512"] == 2
    assert "kind dog" not in json.dumps(record)
    capsys.readouterr()
    assert call() == record
    assert capsys.readouterr().out == ""  # nothing was run again
    with pytest.raises(ExperimentError, match="another experiment .epochs was 1.0, is 2.0"):
        call("--epochs", 2)
    with pytest.raises(SystemExit, match="no arm 'wole'"):
        call(arms="wole")
    timed = call("--speed")
    assert [arm["arm"] for arm in timed["speed"]["arms"]] == ["cut", "whole-grammar"]
    assert all(arm["answering_seconds"] > 0 for arm in timed["speed"]["arms"])
    assert timed == {**record, "speed": timed["speed"]} == call()
