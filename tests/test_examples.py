"""Every example runs as it is printed, without a network, and says what happened."""

import ast
import json
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_a_trainer_learns_under_a_grammar_and_the_model_comes_back(capsys):
    *_, loss, good, bad = run("attach_to_trainer.py", capsys)
    assert float(loss.removeprefix("mean training loss: ")) < 0.69
    assert float(good.split()[-1]) > 0.5 > float(bad.split()[-1])


def test_a_grammar_is_written_and_its_mask_shown(capsys):
    header, *rows, density = run("write_a_grammar.py", capsys)
    assert header.split() == ["[CLS]", "the", "old", "king", "often", "sees", "a", "film", ".", "[SEP]"]
    assert [row.split()[0] for row in rows] == header.split()
    reads = {row.split()[0]: row.split()[2:] for row in rows}
    assert [key for key, mark in zip(header.split(), reads["the"], strict=True) if mark == "x"] == [
        "[CLS]", "the", "king", "[SEP]",
    ]  # fmt: skip
    allowed = sum(row.count("x") for row in reads.values())
    assert density == f"the grammar 'nouns' allows {allowed}% of all pairs"  # of 100


def test_a_tagger_of_ones_own_tags_for_a_model(capsys):
    *tokens, output = run("own_tagger.py", capsys)
    assert [line.split()[-1] for line in tokens] == ["[CLS]", "DET", "ADJ", "NOUN", "VERB", "VERB", "PUNCT", "[SEP]"]
    assert output == "the model's output: (1, 8, 384)"


def test_the_notebook_draws_its_explanations(capsys):
    cells = json.loads((EXAMPLES / "explain.ipynb").read_text(encoding="utf-8"))["cells"]
    *before, last = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    known: dict[str, object] = {}
    for source in before:
        exec(source, known)  # noqa: S102 - our own cells, as a notebook runs them
    assert ast.parse(last, mode="eval")
    page = eval(last, known)._repr_html_()  # noqa: S307
    assert page.startswith("<iframe")
    assert "Tender, not silly." in page
    assert "good" in capsys.readouterr().out
