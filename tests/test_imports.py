"""The package imports one way, stays light, and changes nothing on import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import grammask

ROOT = Path(grammask.__file__).parent
# Each part may import what stands before it, and itself. What is new must take its place here.
ORDER = (
    "errors", "printing", "files", "environment", "memory", "resampling", "grammar", "tagging", "attention", "model",
    "data", "report", "induce", "interpret", "experiment", "bench", "cli",
)  # fmt: skip
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem != "__init__")


def part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    here = (ROOT.name, *path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level]
            targets = [(*base, *(node.module or alias.name).split("."))[1] for alias in node.names]
            for target in targets:
                assert ORDER.index(target) <= ORDER.index(part(path)), f"{part(path)} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_of_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 200


def test_import_is_light_and_registers_nothing():
    code = (
        "import sys, grammask; heavy = {'torch', 'transformers', 'spacy', 'datasets', 'matplotlib', 'pandas'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "from grammask import Grammar, attach; assert not {'spacy', 'datasets', 'matplotlib'} & set(sys.modules);"
        "from transformers import AttentionInterface; assert 'grammask' not in AttentionInterface().valid_keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_line_is_light():
    code = (
        "import sys, grammask.cli.app; heavy = {'torch', 'transformers', 'spacy', 'datasets', 'matplotlib', 'pandas'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    for name in grammask.__all__:
        assert getattr(grammask, name) is not None
    assert set(grammask.__all__) < set(dir(grammask))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        grammask.nothing  # noqa: B018
