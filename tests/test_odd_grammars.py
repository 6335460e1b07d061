"""Odd calls of the Python API raise one of our errors, in one short line."""

import pytest
from helpers.lexicon import annotator, trained

import grammask
from grammask.errors import GrammaskError


@pytest.fixture(scope="module")
def annotate():
    return annotator()


@pytest.fixture(scope="module")
def model(annotate):
    return trained(annotate)


TEXTS = ["", " ", b"the cat", [], [""], ["the cat", None], ["the cat", 5]]


@pytest.mark.parametrize("texts", TEXTS, ids=repr)
def test_texts_that_cannot_be_explained(model, annotate, texts):
    with pytest.raises(GrammaskError) as refused:
        grammask.explain(model, annotate, texts)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "options",
    [
        {"rules": ["none"]},
        {"rules": [0]},
        {"rules": [10**30]},
        {"rules": [None]},
        {"rules": [[1]]},
        {"rules": ["\x1b[2J"]},
        {"layers": [9]},
        {"layers": [-1]},
        {"layers": ["0"]},
        {"layers": [1.5]},
        {"layers": [None]},
        {"layers": [True]},
    ],
    ids=repr,
)
def test_rules_and_layers_that_are_not_there(model, annotate, options):
    with pytest.raises(GrammaskError):
        grammask.explain(model, annotate, ["the cat"], **options)


@pytest.mark.parametrize("text", [None, 5, b"the cat", ["the cat"], {}], ids=repr)
def test_texts_that_bertviz_cannot_show(model, annotate, text):
    with pytest.raises(GrammaskError):
        grammask.to_bertviz(model, annotate, text)


@pytest.mark.parametrize("other", [None, "model", 5], ids=repr)
def test_what_is_no_annotator(model, other):
    with pytest.raises(GrammaskError):
        grammask.explain(model, other, ["the cat"])
    with pytest.raises(GrammaskError):
        grammask.to_bertviz(model, other, "the cat")
