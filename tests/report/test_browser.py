"""The pages in a real browser: they filter, fetch nothing, hold any text, and fit a phone."""

import time
from pathlib import Path

import pytest
from helpers.browser import Seen, chromium, needs_browser
from helpers.lexicon import annotator, sentences, trained
from helpers.loss_results import loss_results, recall_results
from helpers.report_results import results

import grammask
from grammask.experiment.records import read_json
from grammask.report.adherence_page import adherence_page
from grammask.report.bench_page import render_bench_report
from grammask.report.compare_page import render_report
from grammask.report.explain_page import explain_page
from grammask.report.faithfulness_page import faithfulness_page
from grammask.report.perplexity_page import perplexity_page

RECORDS = Path(__file__).parents[2] / "results"
WILD = (
    "<script>alert(1)</script> the kind cat sees </template></details> a film .",
    "שלום העולם the kind cat",
    "👩‍👩‍👧 the kind 🎬 cat sees the film .",
    "the cruel cat sees the dull film . " * 715,  # 5,005 words
)


@pytest.fixture(scope="module")
def browser():
    needs_browser()
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def explanations():
    needs_browser()
    annotate = annotator()
    model = trained(annotate)
    return grammask.explain(model, annotate, [sentences(1, seed=2)[0][0], *WILD])


@pytest.fixture(scope="module")
def explained(explanations):
    return explanations.to_dict()


@pytest.fixture(scope="module")
def page(explained, tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "explain.html"
    path.write_text(explain_page(explained), encoding="utf-8")
    return path


def settled(seen, path):
    assert seen.messages == []
    assert seen.requests == [path.as_uri()]


def test_filters_change_the_arcs(browser, page, explained):
    seen = Seen(browser, page, width=1100, dark=False)
    arcs = explained["texts"][0]["arcs"]
    field = seen.page.locator
    field("#least").fill("0")
    rules = [place for place, source in enumerate(explained["texts"][0]["sources"]) if source["rule"] is not None]
    assert seen.arcs() == sum(arc["source"] in rules for arc in arcs) > 0
    field("#rule").select_option("")
    assert seen.arcs() == len(arcs)
    for place in {arc["source"] for arc in arcs}:
        field("#rule").select_option(str(place))
        assert seen.arcs() == sum(arc["source"] == place for arc in arcs)
    field("#rule").select_option("")
    field("#direction").select_option("before")
    assert seen.arcs() == sum(arc["key"] < arc["query"] for arc in arcs)
    field("#direction").select_option("")
    field("#layer").select_option("1")
    field("#head").select_option("0")
    assert seen.arcs() == sum(any(at[:2] == (1, 0) for at in map(tuple, arc["heads"])) for arc in arcs)
    field("#layer").select_option("")
    field("#head").select_option("")
    field("#least").fill("0.5")
    assert seen.arcs() == sum(max(share for *_, share in arc["heads"]) >= 0.5 for arc in arcs)
    assert f"{seen.arcs()} of {len(arcs)} arcs" in field(".count").first.text_content()
    settled(seen, page)


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (390, False), (1100, True), (390, True)])
def test_any_text_is_text(browser, page, width, dark):
    seen = Seen(browser, page, width=width, dark=dark)
    texts = seen.page.locator("details.text")
    assert texts.count() == 1 + len(WILD)
    for number in range(1, 1 + len(WILD)):
        texts.nth(number).locator("summary").first.click()
        texts.nth(number).locator("svg").wait_for()
    assert seen.page.locator(".arcs svg").count() == 1 + len(WILD)
    assert "<script>alert(1)</script>" in texts.nth(1).locator("summary").first.text_content()
    assert "</template>" in texts.nth(1).locator("summary").first.text_content()
    assert seen.page.locator("script").count() == 1
    assert texts.nth(2).locator("svg").get_attribute("direction") == "rtl"
    assert "doesn't read the last" in texts.nth(4).locator(".warning").text_content()
    # The page itself never scrolls sideways; what is wider does so in its own box.
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(21, 24, 27)" if dark else "rgb(255, 255, 255)")
    settled(seen, page)


def test_the_keyboard_is_enough(browser, page):
    seen = Seen(browser, page, width=1100, dark=False)
    seen.page.locator("#rule").focus()
    reached = set()
    for _ in range(12):
        seen.page.keyboard.press("Tab")
        reached.add(seen.page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"layer", "head", "direction", "least", "SUMMARY"} <= reached
    second = seen.page.locator("details.text").nth(1)
    second.locator("summary").first.focus()
    seen.page.keyboard.press("Enter")
    second.locator("svg").wait_for()


def test_two_hundred_texts_open_quickly(browser, explained, tmp_path):
    one = explained["texts"][0]
    path = tmp_path / "many.html"
    path.write_text(explain_page({**explained, "texts": [one] * 200}), encoding="utf-8")
    start = time.perf_counter()
    seen = Seen(browser, path, width=1100, dark=False)
    assert seen.arcs() > 0
    # About a second, measured on real texts; this only catches a page that lays everything out at once.
    assert time.perf_counter() - start < 20
    assert seen.page.locator("svg").count() == 1


def test_the_page_prints(browser, page):
    seen = Seen(browser, page, width=1100, dark=True)
    seen.page.emulate_media(media="print", color_scheme="light")
    assert not seen.page.locator(".controls").is_visible()
    assert seen.page.pdf().startswith(b"%PDF")


def page_of_adherence():
    difference = {"value": 0.1, "interval": [0.05, 0.15]}
    return adherence_page({
        "model": "m", "grammar": "g", "reading": "reading everything", "text": "t", "parser": "p", "texts": 3,
        "word_density": 0.2, "shares": {kind: [[0.1, 0.4], [0.2, 0.3]] for kind in ("grammar", "random", "window")},
        "entropy": [[0.5, 0.6], [0.7, 1.0]], "relations": [],
        "differences": {"random": difference, "window": difference},
    })  # fmt: skip


# What is drawn from records is drawn from those that are shown in docs.
PAGES = {
    "adherence": (page_of_adherence, 3),
    "faithfulness": (lambda: faithfulness_page(read_json(RECORDS / "faithfulness-sst2.json")), 0),
    "compare": (lambda: render_report(results()), 3),
    "perplexity": (lambda: perplexity_page(loss_results(recall=recall_results())), 4),
    "bench": (lambda: render_bench_report(read_json(RECORDS / "bench-forward.json")), 3),
}


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize(("width", "dark"), [(1100, False), (390, True)])
def test_all_pages_fit_and_fetch_nothing(browser, tmp_path, kind, width, dark):
    make, pictures = PAGES[kind]
    path = tmp_path / f"{kind}.html"
    path.write_text(make(), encoding="utf-8")
    seen = Seen(browser, path, width=width, dark=dark)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.locator("svg").count() == pictures
    assert seen.page.locator("svg image").count() == 0  # the policy refuses them
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(21, 24, 27)" if dark else "rgb(255, 255, 255)")
    settled(seen, path)


def test_a_notebook_shows_the_page_inside(browser, explanations, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><p>Out[1]:</p>{explanations._repr_html_()}", encoding="utf-8")
    seen = Seen(browser, path, width=1100, dark=False)
    frame = seen.page.frame_locator("iframe")
    frame.locator("#least").fill("0")
    assert frame.locator(".displacy-arrow:visible").count() > 0
    settled(seen, path)
