"""Names, labels and texts that others wrote stay text in pages, figures, Markdown and the commands that it shows."""

import json
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers.report_results import results

from grammask.report.arcs_svg import arcs_svg
from grammask.report.compare_page import render_report
from grammask.report.figure import Picture, heat_map, style
from grammask.report.markdown import Markdown, code, plain
from grammask.report.page import render_page
from grammask.report.results_page import results_page

HOSTILE = [
    "<script>alert(1)</script>", "</script><!--", '"><img src=x onerror=alert(1)>', "' onload='x", "{{ 7 * 7 }}",
    "]]>&lt;", "\x00\x1b[31m", "\u202ecba", "$\\frac{$", "${x}", "line\u2028break",
]  # fmt: skip
GRID = Path(__file__).parents[2] / "results" / "grid.json"


@pytest.fixture(scope="module")
def plain_page():
    return render_report(results())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_comparisons_page_shows_names_as_text(text, plain_page):
    wanted = results(task={**results()["task"], "note": text}, model={**results()["model"], "name": text})
    page = render_report(wanted)
    for tag in ("<script", "<img", "<!--", "onerror=alert(1)>", "\x1b", "\x00", "\u202e"):
        assert page.count(tag) == plain_page.count(tag)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_figure_shows_names_as_text_and_is_whole_xml(text, tmp_path):
    with style("x"):
        picture = Picture(heat_map([[0.5]], rows=[text], columns=[text], label=text), "x", text)
    picture.save(tmp_path)
    for svg in (str(picture.svg()), (tmp_path / "x.svg").read_text(encoding="utf-8")):
        found = "".join(ElementTree.fromstring(svg).itertext())  # noqa: S314 - our own
        assert found.count(text.splitlines()[0]) >= 3 or not text.isprintable()
    assert (tmp_path / "x.png").stat().st_size


@pytest.mark.parametrize("text", HOSTILE)
def test_arcs_show_words_and_tags_as_text_and_are_whole_xml(text):
    words = [{"text": text, "tag": "NOUN"}, {"text": "x", "tag": text}]
    arc = {"query": 0, "key": 1, "source": 0, "heads": [(0, 0, 0.5)]}
    svg = arcs_svg({"text": text, "words": words, "arcs": [arc], "sources": [{"key": text, "name": text}]}, "x")
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {
        "svg",
        "text",
        "tspan",
        "g",
        "path",
        "textPath",
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_every_value_of_a_template_is_escaped_in_text_and_attributes(text):
    rows = [{"way": text} | {
        key: {"value": 0.0, "interval": [0.0, 0.0]}
        for key in ("comprehensiveness", "comprehensiveness_to_random", "sufficiency", "sufficiency_to_random")
    }]  # fmt: skip
    page = render_page(
        "faithfulness.html.j2", model=text, grammar=text, strategy=text, text=text, texts=2, rows=rows, shares=[0.1],
        points=str, percent=str,
    )  # fmt: skip
    for tag in ("<script", "<img", "<!--", "\x1b", "\x00", "\u202e"):
        assert tag not in page


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("minilm-heads, ramp 1.0", "minilm-heads, ramp 1.0"),
        ("a|b", "a&#124;b"),
        ("[x](http://y)", "&#91;x&#93;(http&#58;//y)"),
        ("![x](y)", "&#33;&#91;x&#93;(y)"),
        ("<b>&amp;", "&#60;b&#62;&#38;amp;"),
        ("`a` *b* _c_ ~d~ $e$ #f @g", "&#96;a&#96; &#42;b&#42; &#95;c&#95; &#126;d&#126; &#36;e&#36; &#35;f &#64;g"),
        ("www.evil.com", "www&#46;evil.com"),
        ("two\nlines\x1b", "two&#92;nlines&#92;x1b"),
        (0.5, 0.5),
    ],
)
def test_markdown_shows_text_as_it_is(text, shown):
    assert plain(text) == shown


def test_markdown_of_our_own_is_kept():
    assert plain(Markdown("[1, 2]")) == "[1, 2]"
    assert code("a b") == "`a b`"
    assert code("a ``b|") == r"``` a ``b\| ```"


@pytest.mark.parametrize("name", ["a|b", "x; rm -rf ~", "$(id)", "`id`", "a b", "[x](y)", "<script>", "x\n\n# y"])
def test_results_show_names_as_text_and_commands_that_a_shell_reads_as_words(name):
    grid = json.loads(GRID.read_text(encoding="utf-8"))
    task = grid["tasks"][0] | {"name": name, "task": name, "model": name}
    page = results_page({**grid, "tasks": [task, *grid["tasks"][1:]]})
    clean = results_page(grid)
    assert len(page.splitlines()) == len(clean.splitlines())
    assert [line.count("|") for line in page.splitlines() if line.startswith("|")] == [
        line.count("|") for line in clean.splitlines() if line.startswith("|")
    ]
    assert "<script>" not in re.sub("`[^`]*`", "", page)
    commands = (line.strip("` ") for line in page.splitlines() if line.startswith("`"))
    shown = next(line for line in commands if line.startswith("grammask compare --task")).replace(r"\|", "|")
    if "\n" not in name:
        words = shlex.split(shown)
        assert words[words.index("--task") + 1] == name
        assert words[words.index("--out") + 1] == f"runs/{name}"
