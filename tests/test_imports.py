"""The package imports one way, stays light, and changes nothing on import."""

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import grammask

ROOT = Path(grammask.__file__).parent
# Each part may import what stands before it, and itself. What is new must take its place here.
ORDER = (
    "errors", "printing", "files", "environment", "memory", "resampling", "grammar", "tagging", "attention", "model",
    "pipelines", "data", "report", "induce", "interpret", "experiment", "bench", "cli",
)  # fmt: skip
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem != "__init__")


def part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


NAMES = {dotted(path) for path in MODULES}


def imported(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, wherever in it."""
    here = path.relative_to(ROOT).with_suffix("").parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level], *(node.module.split(".") if node.module else ())]
            for alias in node.names:
                module = ".".join([*base, alias.name])
                found.add(module if module in NAMES else ".".join(base))
    return found


IMPORTS = {dotted(path): imported(path) for path in MODULES}


def test_the_order_names_every_room_and_no_other():
    rooms = {part(path) for path in MODULES}
    assert rooms == set(ORDER)
    assert len(ORDER) <= 18


@pytest.mark.parametrize("module", IMPORTS)
def test_imports_go_one_way(module):
    for target in IMPORTS[module]:
        room, its_own = target.split(".")[0], module.split(".")[0]
        assert ORDER.index(room) <= ORDER.index(its_own), f"{module} imports {target}"


def test_no_files_import_each_other_in_a_circle():
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError, which names the circle


def test_no_two_rooms_have_a_file_of_the_same_name():
    rooms = defaultdict(set)
    for path in MODULES:
        if path.stem != "__init__":
            rooms[path.stem].add(part(path))
    # A command's file has the name of the command, whatever the room below calls what it shows.
    shared = {stem: found - {"cli"} for stem, found in rooms.items()}
    assert {stem: found for stem, found in shared.items() if len(found) > 1} == {}


def test_a_short_file_has_two_callers():
    callers = Counter(target for targets in IMPORTS.values() for target in targets)
    tests = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("*.py"))
    callers.update(re.findall(r"^from grammask\.([a-z_.]+) import", tests, re.MULTILINE))
    for path in MODULES:
        short = len(path.read_text(encoding="utf-8").splitlines()) < 30
        # A command, a page and what is public are files of their own, however short: that is where one looks for them.
        sought = part(path) in ("cli", "report") or f".{dotted(path)}" in grammask._HOMES.values()
        if short and not sought and path.stem != "__init__":
            assert callers[dotted(path)] > 1, f"{dotted(path)} is short and has one caller"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_of_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 200


def test_import_is_light_and_registers_nothing():
    code = (
        "import sys, grammask;"
        "heavy = {'torch', 'transformers', 'spacy', 'datasets', 'matplotlib', 'pandas', 'ray'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "from grammask import Grammar, attach;"
        "assert not {'spacy', 'datasets', 'matplotlib', 'sentence_transformers', 'ray', 'pyarrow'} & set(sys.modules);"
        "from transformers import AttentionInterface; assert 'grammask' not in AttentionInterface().valid_keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_line_is_light():
    code = (
        "import sys, grammask.cli.app;"
        "heavy = {'torch', 'transformers', 'spacy', 'datasets', 'matplotlib', 'pandas', 'ray'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    for name in grammask.__all__:
        assert getattr(grammask, name) is not None
    assert set(grammask.__all__) < set(dir(grammask))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        grammask.nothing  # noqa: B018
