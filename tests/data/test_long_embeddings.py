"""Embeddings of long documents (scripts/embed_long_documents.py): each document keeps its own, whole or in parts."""

import json
import runpy
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from helpers.long_documents import save_documents
from long_documents import read_documents

from grammask.errors import InputError
from grammask.grammar.file import load_grammar

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "embed_long_documents.py"))
KINDS = ["the kind dog barks at cat . ", "a cruel king likes the town . "]
TEXTS = [KINDS[number % 2] * (90 if number % 5 == 0 else 1 + number) for number in range(20)]


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    documents, model = save_documents(folder, ((number % 2, text) for number, text in enumerate(TEXTS)))
    return Namespace(
        documents=documents, out=folder / "record.json", model=str(model), whole=1024, tagger="english-subwords",
        batch_size=4,
    )  # fmt: skip


def test_the_record_holds_arms_and_differences_and_no_text(options, monkeypatch):
    given = [options.documents, "--out", options.out, "--model", options.model, "--whole", options.whole]
    monkeypatch.setattr(sys, "argv", ["script", *map(str, given), "--folds", "2", "--draws", "2"])
    SCRIPT["main"]()
    record = json.loads(options.out.read_text(encoding="utf-8"))
    arms = {arm["name"]: arm for arm in record["arms"]}
    assert [*arms] == ["cut", "parts", "whole-grammar", "whole-full", "whole-window", "cut-grammar"]
    assert {arm["length"] for name, arm in arms.items() if name.startswith("whole")} == {1024}
    assert arms["cut"]["density"] == 1 > arms["whole-grammar"]["density"] > 0
    assert arms["whole-window"]["density"] == pytest.approx(arms["whole-grammar"]["density"], rel=0.3)
    # The two kinds are told apart, if not by each arm: the tokenizer is learned anew, so its model is never the same.
    assert max(arm["accuracy"]["all"]["value"] for arm in arms.values()) > 0.6
    for arm in arms.values():
        assert arm["accuracy"]["all"]["documents"] == 20
        assert np.mean(arm["accuracy_of_draws"]) == pytest.approx(arm["accuracy"]["all"]["value"])
    for difference in record["differences"]:
        of_arms = (arms[difference[side]]["accuracy"]["all"]["value"] for side in ("arm", "against"))
        assert difference["all"]["value"] == pytest.approx(next(of_arms) - next(of_arms))
    assert "kind dog" not in options.out.read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["script", *map(str, given), "--arms", "wole"])
    with pytest.raises(SystemExit, match="no arm 'wole'"):
        SCRIPT["main"]()


def test_embedding_in_turns_gives_each_document_its_own(options):
    arms = {"cut": SCRIPT["Arm"](options), "parts": SCRIPT["Arm"](options, parts=True)}
    documents = read_documents(options.documents, options.model, folds=2)
    found, seconds = SCRIPT["embed"](arms, documents)
    for name, arm in arms.items():
        assert len(seconds[name]) == 10
        np.testing.assert_allclose(found[name], np.concatenate([arm([text]) for text in documents.texts]), atol=1e-5)


def test_short_documents_are_embedded_alike_cut_in_parts_and_whole(options):
    arm = SCRIPT["Arm"]
    cut, parts, whole = arm(options), arm(options, parts=True), arm(options, whole=True)
    np.testing.assert_allclose(parts(TEXTS[1:5]), cut(TEXTS[1:5]), atol=1e-5)
    np.testing.assert_allclose(whole(TEXTS[1:5]), cut(TEXTS[1:5]), atol=1e-5)
    long = [TEXTS[0]]
    assert all(np.abs(other(long) - cut(long)).max() > 1e-4 for other in (parts, whole))
    guided = arm(options, whole=True, grammar=load_grammar("english-long"))
    assert np.abs(guided(long) - whole(long)).max() > 1e-4


def test_few_documents_and_one_without_tokens_are_embedded(options, tmp_path):
    path = tmp_path / "few.tsv"
    path.write_text("".join(f"{number % 2}\t{text}\n" for number, text in enumerate([*TEXTS[1:4], "\ufe0f"])))
    documents = read_documents(path, options.model, folds=2)
    found, _ = SCRIPT["embed"]({"parts": SCRIPT["Arm"](options, parts=True)}, documents)
    assert found["parts"].shape[0] == 4
    assert np.isfinite(found["parts"]).all()


@pytest.mark.parametrize(
    ("content", "folds", "why"),
    [
        ("1\ta\n2\tb\n", 2, r"line 2 must be 0 or 1, a tab and a document without tabs, but is '2\\tb'"),
        ("label\ttext\n1\ta\n", 2, "line 1 must be 0 or 1"),
        ("1\ta\n\n0\tb\tc\n", 2, "line 3 must be 0 or 1"),
        ("1\t  \n", 2, "line 1 must be"),
        ("0\n", 2, "line 1 must be"),
        ("", 2, "--folds is 2, but must be from 2 to 0"),
        ("1\ta\n1\tb\n", 2, "from 2 to 0, the documents of the rarer label"),
        ("1\ta\n1\tb\n0\tc\n0\td\n", 1, "--folds is 1, but must be from 2 to 2"),
        ("1\t\xff", 2, "is not UTF-8"),
    ],
)
def test_documents_that_are_none_are_one_line_before_all_work(options, tmp_path, content, folds, why):
    path = tmp_path / "documents.tsv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=why) as raised:
        read_documents(path, options.model, folds=folds)
    assert "\n" not in str(raised.value)
