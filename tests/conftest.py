"""What all tests run under, and the fixtures that they share."""

import os

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

pytest_plugins = ["helpers.comparisons"]

# What takes how long is not tested: machines differ.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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
