"""The measurement of long documents (scripts/measure_long_documents.py): each is tested once a seed, none gets out."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.long_documents import save_documents
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer

from grammask.errors import ExperimentError

PATH = Path(__file__).parents[2] / "scripts" / "measure_long_documents.py"
SCRIPT = runpy.run_path(str(PATH))
TEXTS = [f"the kind dog barks at cat {number} . " * (80 if number % 5 == 0 else 1 + number) for number in range(10)]


@pytest.fixture
def options(tmp_path, monkeypatch):
    """The script's options for documents and a tiny model."""
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path / "cache"))
    documents, model = save_documents(tmp_path, ((int(number % 3 == 0), text) for number, text in enumerate(TEXTS)))
    given = ["--work", tmp_path / "work", "--out", tmp_path / "record.json", "--model", model]
    short = ["--whole", 1024, "--folds", 2, "--epochs", 1, "--precision", "float32"]
    return [*map(str, [documents, *given, *short])]


@pytest.fixture
def call(tmp_path, options, monkeypatch):
    """Call the script; returns the record."""

    def call_with(*more, arms="cut,whole-grammar"):
        monkeypatch.setattr(sys, "argv", ["script", *options, "--arms", arms, *map(str, more)])
        SCRIPT["main"]()
        return json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))

    return call_with


def test_each_document_is_tested_once_and_folds_share_the_labels():
    labels = [1] * 10 + [0] * 15
    documents = SCRIPT["Documents"](labels, [""] * 25, [*range(25)], "")
    folds = documents.folds(5)
    assert sorted(number for _, tested in folds for number in tested) == [*range(25)]
    for trained, tested in folds:
        assert sorted(trained + tested) == [*range(25)]
        assert tested == sorted(tested)
        assert sum(labels[number] for number in tested) == 2
        rest, choosing = documents.choosing(trained)
        assert sorted(rest + choosing) == sorted(trained)
        assert (len(choosing), sum(labels[number] for number in choosing)) == (5, 2)


def test_the_record_holds_arms_and_differences_and_no_text(call, capsys):
    record = call("--learning-rates", 1e-4)
    cut, whole = record["arms"]
    assert (cut["name"], whole["name"], cut["grammar"], whole["grammar"]) == (
        "cut", "whole-grammar", None, "english-long"
    )  # fmt: skip
    assert cut["density"] == 1 > whole["density"] > 0
    assert len(cut["correct"]["0"]) == 10
    assert cut["accuracy"]["all"]["value"] == pytest.approx(cut["correct"]["0"].count("1") / 10)
    (difference,) = record["differences"]
    assert difference["all"]["value"] == pytest.approx(
        whole["accuracy"]["all"]["value"] - cut["accuracy"]["all"]["value"]
    )
    assert record["documents"]["longer_than_512"] == 2
    assert record["settings"]["seeds"] == {"0": [0, 1]}
    assert "kind dog" not in json.dumps(record)
    capsys.readouterr()
    assert call("--learning-rates", 1e-4) == record
    assert capsys.readouterr().out == ""  # nothing was run again
    with pytest.raises(ExperimentError, match="another experiment .epochs was 1.0, is 2.0"):
        call("--learning-rates", 1e-4, "--epochs", 2)
    with pytest.raises(SystemExit, match="no arm 'wole'"):
        call(arms="wole")
    timed = call("--speed")
    assert [arm["arm"] for arm in timed["speed"]["arms"]] == ["cut", "whole-grammar"]
    assert all(arm["answering_seconds"] > 0 for arm in timed["speed"]["arms"])
    assert timed == {**record, "speed": timed["speed"]} == call("--learning-rates", 1e-4)


def test_an_arm_takes_the_learning_rate_that_is_best_on_training_documents(call, tmp_path):
    runs = tmp_path / "work" / "runs"
    call("--learning-rates", "1e-4,2e-4", arms="cut")
    assert len(list(runs.glob("*choosing*"))) == 4
    for path in runs.glob("*choosing*"):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["accuracy"] = 0.9 if path.stem == "cut-fold-1-choosing-seed0-0.0002" else 0.5
        path.write_text(json.dumps(record), encoding="utf-8")
    assert call("--learning-rates", "1e-4,2e-4", arms="cut")["arms"][0]["learning_rates"] == [1e-4, 2e-4]
    assert [path.stem for path in sorted(runs.glob("cut-fold-?-seed*"))][-1] == "cut-fold-1-seed0-0.0002"


def test_what_was_not_begun_in_time_is_left_for_the_next_call(call, tmp_path):
    with pytest.raises(ExperimentError, match="cut, fold 0: not all learning rates were tried; call this again"):
        call("--seconds", -1)
    call("--learning-rates", 1e-4, arms="cut")
    for path in (tmp_path / "work" / "runs").glob("cut-fold-1-*"):
        path.unlink()
    record = call("--learning-rates", 1e-4, "--seconds", -1, "--seeds", "0,1", arms="cut")
    assert record["settings"]["seeds"] == {"0": [0]}
    (cut,) = record["arms"]
    assert (cut["accuracy"]["all"]["documents"], cut["correct"]["0"].count("-")) == (5, 5)


def test_records_of_other_documents_folds_or_models_are_never_taken(call, options, tmp_path):
    call("--learning-rates", 1e-4, arms="cut")
    record, documents, given = (tmp_path / "record.json").read_bytes(), tmp_path / "documents.tsv", [*options]

    def refuses(what):
        with pytest.raises(ExperimentError, match=f"was made with other {what}; name another --work"):
            call("--learning-rates", 1e-4, arms="cut")
        options[:] = given
        assert (tmp_path / "record.json").read_bytes() == record

    options[options.index("--folds") + 1] = "3"
    refuses("folds")
    other = tiny_model("bert", vocab_size=len(tokenizer("wordpiece")), max_position_embeddings=512, hidden_size=24)
    other.base_model.save_pretrained(tmp_path / "other")
    tokenizer("wordpiece").save_pretrained(tmp_path / "other")
    options[options.index("--model") + 1] = str(tmp_path / "other")
    refuses("model_sha256")
    documents.write_text(documents.read_text(encoding="utf-8").replace("cat 1 ", "cow 1 "), encoding="utf-8")
    refuses("documents_sha256")


@pytest.mark.slow
def test_several_processes_make_the_record_of_one(call, options, tmp_path):
    alone = call("--learning-rates", 1e-4, arms="cut")
    for path in (tmp_path / "work" / "runs").iterdir():
        path.unlink()
    (tmp_path / "record.json").unlink()
    several = ["--learning-rates", "1e-4", "--arms", "cut", "--workers", "2"]
    subprocess.run([sys.executable, str(PATH), *options, *several], check=True)
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert record["arms"] == alone["arms"]
