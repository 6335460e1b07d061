"""The public names as a reader meets them: every argument explained, every example true, docs/api.md made from both."""

import doctest
import inspect
import runpy
from pathlib import Path

import pytest
import torch

import grammask

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "write_api.py"))
CALLABLES = [
    *(name for name in grammask.__all__ if name not in ("TAGS", "GrammaskError")),
    "Annotator.__call__", "Annotator.join", "Annotator.read", "Annotator.save_pretrained",
    "Annotator.from_pretrained", "Collator.__call__",
]  # fmt: skip


def sections(name: str) -> dict[str, str]:
    owner, _, method = name.partition(".")
    _, docstring = SCRIPT["find_definition"](owner)
    return SCRIPT["read_sections"](inspect.getdoc(getattr(getattr(grammask, owner), method)) if method else docstring)


def parameters(name: str) -> list[str]:
    owner, _, method = name.partition(".")
    found = inspect.signature(getattr(getattr(grammask, owner), method) if method else getattr(grammask, owner))
    stars = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    return [f"{stars.get(part.kind, '')}{part.name}" for part in found.parameters.values() if part.name != "self"]


@pytest.mark.parametrize("name", CALLABLES)
def test_every_argument_is_explained_and_no_other(name):
    explained = SCRIPT["read_items"](sections(name)["Args"])
    assert list(explained) == parameters(name)
    assert all(meaning.endswith(".") for meaning in explained.values())


@pytest.mark.parametrize("name", grammask.__all__)
def test_every_name_has_an_example_that_runs(name):
    known = {"grammask": grammask, "torch": torch}
    example = doctest.DocTestParser().get_doctest(sections(name)["Example"], known, name, None, 0)
    assert example.examples
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    told: list[str] = []
    doctest.DocTestRunner(optionflags=options).run(example, out=told.append)
    assert not told, "".join(told)


@pytest.mark.parametrize("name", [name for name in CALLABLES if inspect.isfunction(getattr(grammask, name, None))])
def test_functions_say_what_comes_back_and_what_is_raised(name):
    found = sections(name)
    assert {"Raises"} < found.keys()
    assert {"Returns", "Yields"} & found.keys()
    for error in SCRIPT["read_items"](found["Raises"]):
        assert issubclass(getattr(grammask.errors, error), grammask.GrammaskError)


def test_the_page_is_what_the_docstrings_say():
    assert SCRIPT["PAGE"].read_text(encoding="utf-8") == SCRIPT["render"](), "run: python scripts/write_api.py"


def test_the_page_has_every_name_once():
    names = [name for group in SCRIPT["GROUPS"].values() for name in group]
    assert sorted(names) == sorted(grammask.__all__)


def test_explanations_are_read_by_name():
    items = SCRIPT["read_items"]("    one: What it is,\n        and more.\n    **two: Lists: a, b.")
    assert items == {"one": "What it is, and more.", "**two": "Lists: a, b."}
