"""What all tests run under, and the fixtures that they share."""

import gc
import os
import sys
from collections.abc import Iterator
from functools import cache
from unittest.mock import patch

# One core a process, also in the processes that tests start: pytest itself runs in several.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nothing hangs on what was measured on the developer's machine.
os.environ["GRAMMASK_CALIBRATE"] = "0"

import hypothesis
import pytest
from helpers.attention_calls import short_chunks
from helpers.batches import Batch, random_batch

from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import NAMED
from grammask.tagging import spacy_tagger

pytest_plugins = ["helpers.comparisons"]

# What takes how long is not tested: machines differ.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="module")
def _what_is_loaded_stays() -> Iterator[None]:
    """Leave what is imported out of garbage collection: accelerate and statsmodels collect at each call, all of it."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def _one_pipeline() -> Iterator[None]:
    """Load the default pipeline once a process: it is made anew for each annotator, and nothing changes it."""
    load, once = spacy_tagger.load_pipeline, cache(spacy_tagger.load_pipeline)

    def loaded(pipeline: str, sentences: spacy_tagger.SentenceSource) -> object:
        kept = pipeline == spacy_tagger.DEFAULT_PIPELINE and sys.modules.get("spacy", True)
        return (once if kept else load)(pipeline, sentences)

    with patch.object(spacy_tagger, "load_pipeline", loaded):
        yield


@pytest.fixture
def batch() -> Batch:
    return random_batch()


@pytest.fixture
def allow_all() -> Grammar:
    """A grammar under which hard attention is full attention."""
    readable = tuple(tag for tag in NAMED if tag != "[PAD]")
    return Grammar("all", rules=(Rule(readable, readable, Reach("document")),))


@pytest.fixture(params=["narrow", "wide"])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take windows for narrow, as one band; or for wide, in chunks so short that a small text has several."""
    if request.param == "wide":
        short_chunks(monkeypatch, 5, views=False)
