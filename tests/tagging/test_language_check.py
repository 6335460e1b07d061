"""A tagger of another language than its texts' is noticed, in many words, and no sooner."""

import copy
import logging
import pickle

import pytest
from helpers.tokenizers_for_tests import tokenizer
from spacy.lang.cs.examples import sentences as czech
from spacy.lang.de.examples import sentences as german
from spacy.lang.en.examples import sentences as english
from spacy.lang.fi.examples import sentences as finnish

import grammask
from grammask.data.film_reviews import film_reviews
from grammask.errors import TaggingError


def annotator(**options):
    return grammask.Annotator(tokenizer("wordpiece"), "en_core_web_sm", cache=False, **options)


def warnings(caplog):
    return [record for record in caplog.records if record.name == "grammask.tagging.language_check"]


@pytest.mark.parametrize("texts", [czech, finnish * 6, german * 4], ids=["czech", "finnish", "german"])
def test_another_language_is_a_warning_once_and_an_error_under_strict(texts, caplog):
    annotate = annotator()
    with caplog.at_level(logging.WARNING, "grammask"):
        for _ in range(6):
            annotate(texts)
    (warning,) = warnings(caplog)
    assert "tagger 'en_core_web_sm" in warning.getMessage()
    assert "PROPN or X" in warning.getMessage()
    with pytest.raises(TaggingError, match=r"of \d+ words .* or leave strict out for lists of names"):
        annotator(strict=0.5)(list(texts) * 6)


def test_english_is_none(caplog):
    annotate = annotator(strict=0.5)
    annotate([*film_reviews().train.texts[:300], *english * 5])
    assert not warnings(caplog)


def test_a_short_text_is_none(caplog):
    for text in czech:
        annotator(strict=0.5)(text)
    assert not warnings(caplog)


def test_copies_count_anew():
    annotate = annotator(strict=0.5)
    annotate(czech)
    for again in (pickle.loads(pickle.dumps(annotate)), copy.deepcopy(annotate)):  # noqa: S301 - our own
        again(czech)
    with pytest.raises(TaggingError):
        annotate(czech)
