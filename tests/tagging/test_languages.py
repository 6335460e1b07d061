"""Pipelines of other languages, where their packages are installed: they tag their own language, and no other warns."""

import importlib
import logging
from importlib.util import find_spec

import pytest
import spacy
from helpers.tokenizers_for_tests import tokenizer

import grammask
from grammask.grammar.tags import TAG_IDS

PIPELINES = {"cs": "cs_core_news_sm", "fi": "spacy_fi_experimental_web_md"}


@pytest.mark.slow
@pytest.mark.parametrize("language", PIPELINES)
def test_a_pipeline_knows_its_language(language, caplog):
    name = PIPELINES[language]
    if find_spec(name) is None:
        pytest.skip(f"pip install {name.replace('_', '-')}, which isn't installed, to try {language}")
    texts = importlib.import_module(f"spacy.lang.{language}.examples").sentences * 6
    own = grammask.Annotator(tokenizer("bytes"), name, cache=False, strict=0.9)
    with caplog.at_level(logging.WARNING, "grammask"):
        tags = [tag for row in own(texts)["tag_ids"] for tag in row]
    assert not caplog.records
    assert {TAG_IDS[tag] for tag in ("NOUN", "VERB", "ADJ", "PRON", "ADP")} - set(tags) <= {TAG_IDS["ADP"]}
    loaded = spacy.load(name, exclude=["ner", "lemmatizer", "parser", "voikko"])
    given = grammask.Annotator(tokenizer("bytes"), loaded, cache=False)(texts)
    assert [tag for row in given["tag_ids"] for tag in row] == tags
