"""An annotator in a folder comes back as it was, with the very tagger that it had, or one line says why not."""

import json
import logging

import pytest
import torch
from helpers.tokenizers_for_tests import PatternTagger, tokenizer

import grammask
from grammask.errors import ExperimentError, ModelError, TaggingError

TEXTS = ["The old sailor reads on and on and on.", 'She nodded. He said: "Isn\'t it?"']
NAME = "grammask_annotator.json"


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "saved"
    grammask.Annotator(tokenizer("bytes"), PatternTagger(), cache=False, max_length=12).save_pretrained(folder)
    return folder


def change(folder, **changes):
    data = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps({**data, **changes}))


def test_an_annotator_of_a_pipeline_comes_back_equal(tmp_path):
    annotate = grammask.Annotator(
        tokenizer("wordpiece"), "en_core_web_sm", sentences="parser", cache=False, strict=0.25, max_length=12
    )
    annotate.save_pretrained(tmp_path)
    again = grammask.Annotator.from_pretrained(tmp_path, cache=False)
    assert again.settings == annotate.settings
    found, expected = again(TEXTS, return_tensors="pt"), annotate(TEXTS, return_tensors="pt")
    assert found["input_ids"].shape == (2, 12)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_is_written_is_json_and_the_tokenizers_files(saved):
    assert json.loads((saved / NAME).read_text()) == {
        "format": 1,
        "tagger": {"kind": "own", "name": "pattern", "version": "1", "sentences": None, "fingerprint": None},
        "max_length": 12,
        "strict": None,
    }
    assert {NAME, "tokenizer.json", "tokenizer_config.json"} <= {file.name for file in saved.iterdir()}
    assert not [file for file in saved.iterdir() if file.suffix in (".pkl", ".pt", ".py")]


def test_a_tagger_of_ones_own_must_be_given_again(saved):
    with pytest.raises(TaggingError, match=r"tagger 'pattern 1', which is no tagger of grammask's; .*tagger="):
        grammask.Annotator.from_pretrained(saved)
    again = grammask.Annotator.from_pretrained(saved, tagger=PatternTagger(), cache=False)
    assert (
        again(TEXTS[0])["tag_ids"]
        == grammask.Annotator(tokenizer("bytes"), PatternTagger(), cache=False)(TEXTS[0], max_length=12)["tag_ids"]
    )


def test_another_tagger_is_taken_where_it_is_asked_for_and_the_log_says_so(saved, caplog):
    with caplog.at_level(logging.WARNING):
        again = grammask.Annotator.from_pretrained(saved, tagger=PatternTagger("2"), cache=False)
    assert again.tagger.version == "2"
    assert "version is '2', not '1'" in caplog.text


def test_a_folder_without_an_annotator_says_how_to_give_one(saved):
    (saved / NAME).unlink()
    with pytest.raises(TaggingError, match=r'without an annotator .*tagger="en_core_web_sm".*annotator=annotate'):
        grammask.Annotator.from_pretrained(saved)
    assert grammask.Annotator.from_pretrained(saved, tagger=PatternTagger()).settings.max_length is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 3}, "grammask_annotator.json: format is 3"),
        ({"hook": "evil.py"}, "unknown key 'hook'"),
        ({"tagger": {"kind": "spacy", "name": "xx_no", "version": "1.0"}}, "xx_no 1.0', a spaCy pipeline that isn't"),
    ],
)
def test_wrong_files_are_one_line_that_names_the_folder(saved, changes, says):
    change(saved, **changes)
    with pytest.raises(TaggingError, match=says) as raised:
        grammask.Annotator.from_pretrained(saved)
    assert str(saved) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1, "format": 1}', "[" * 5000])
def test_damaged_json_is_refused(saved, content):
    (saved / NAME).write_text(content)
    with pytest.raises(TaggingError, match=NAME):
        grammask.Annotator.from_pretrained(saved)


def test_a_missing_tokenizer_or_folder_is_named(saved, tmp_path):
    (saved / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="holds no tokenizer"):
        grammask.Annotator.from_pretrained(saved, tagger=PatternTagger())
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperimentError, match="cannot be written"):
        grammask.Annotator(tokenizer("bytes"), PatternTagger()).save_pretrained(tmp_path / "file")
