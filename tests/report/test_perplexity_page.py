"""The page of a perplexity run: no more than its intervals show, nothing fetched, everything escaped."""

import re

import pytest
from helpers.loss_results import found, loss_results, loss_row, recall_results, recall_row

from grammask.report.perplexity_page import perplexity_page, write_perplexity_figures
from grammask.report.perplexity_plots import tag_plot


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (found(-0.05), "far is better (-0.050 nats a token, 95 % interval -0.060 to -0.040) than rarest"),
        (found(0.05), "far is worse (+0.050 nats a token, 95 % interval +0.040 to +0.060) than rarest"),
        (found(0.0), "far isn&#39;t shown to differ (+0.000 nats a token, 95 % interval -0.010 to +0.010) from rarest"),
        (found(0.05, alone=True), "far differs by +0.050 nats a token (one text, so without an interval) from rarest"),
    ],
)
def test_findings_say_no_more_than_their_interval(difference, sentence):
    against = {**loss_row("x", of="far")["against"], "difference": difference}
    control = loss_row("far-rarest", control="rarest", of="far", against=against)
    assert sentence in perplexity_page(loss_results(rows=[loss_row("full"), loss_row("far"), control]))


def test_the_page_fetches_nothing_and_is_the_same_each_time():
    page = perplexity_page(loss_results())
    assert page == perplexity_page(loss_results())
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!#)', page)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("<svg") == 2
    assert "rows are finished" not in page
    assert "as many of the rarest" in page


def test_an_unfinished_run_and_tags_of_the_future_are_told():
    page = perplexity_page(
        loss_results(
            planned=["full", "far", "far-rarest", "far-separators"], complete=False, future={"far": "tags decide"}
        )
    )
    assert "3 of 4 rows are finished" in page
    assert "far: tags decide" in page


def test_full_alone_has_no_figures():
    assert "<svg" not in perplexity_page(loss_results(rows=[loss_row("full")]))


def test_a_stratum_that_a_row_lacks_is_left_open():
    bare = loss_row("far", difference_by_tag={}, difference_by_distance={}, loss_by_tag={}, loss_by_distance={})
    assert "&ndash;" in perplexity_page(loss_results(rows=[loss_row("full"), bare]))


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "{{ 7 * 7 }}", "\x1b[31m\x00", "\u202ecba", "$\\frac{$"])
def test_names_of_others_stay_text(text):
    plain = perplexity_page(loss_results())
    given = loss_results()
    page = perplexity_page({
        **given, "model": {**given["model"], "name": text}, "texts": [{**given["texts"][0], "name": text}],
    })  # fmt: skip
    for mark in ("<script", "49<", "\x1b", "\x00", "\u202e"):
        assert page.count(mark) == plain.count(mark)


def test_figures_come_with_their_numbers(tmp_path):
    write_perplexity_figures(loss_results(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "by-tag.svg", "by-tag.png", "by-distance.svg", "by-distance.png", "perplexity.csv",
    }  # fmt: skip
    lines = (tmp_path / "perplexity.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "row,pairs,cache,by,stratum,loss,tokens,mean,low,high"
    assert len(lines) == 1 + 3 * 7


class TestRecall:
    def test_the_page_says_what_was_copied_and_read_on(self):
        page = perplexity_page(loss_results(recall=recall_results()))
        assert page == perplexity_page(loss_results(recall=recall_results()))
        assert page.count("<svg") == 4
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        recall = re.sub(r"\s+", " ", page[page.index("<h2>Recall: facts") :])
        assert [name.split(",")[0] for name in re.findall(r'<tr><td class="name">([^<]*)', recall)] == [
            *["full", "far", "snapkv"] * 3, "a.txt",
        ]  # fmt: skip
        for text in (
            "<td>75.0<small>65.0 to 85.0</small></td>",  # copied, with Wilson's interval
            "-25.0<small>-50.0 to +12.5</small>",  # points to full
            "<th>codes %</th><th>names %</th><th>dates %</th>",
            "<th>500</th><th>1,000</th>",
            "snapkv, question known",
            "<td>3.0625</td>",
            "-0.250<small>-0.500 to +0.125</small>",
            "Peers keep as many as far does",
            "<dt>snapkv</dt><dd>by 64 tokens</dd>",
        ):
            assert text in recall
        assert "isn't finished" not in recall

    def test_recall_that_goes_on_is_told(self):
        assert "Recall isn't finished: 1 of 1 texts" in perplexity_page(
            loss_results(recall=recall_results(complete=False))
        )

    @pytest.mark.parametrize("recall", [None, recall_results(rows=[])])
    def test_there_is_no_section_without_rows(self, recall, tmp_path):
        results = loss_results() if recall is None else loss_results(recall=recall)
        assert "Recall" not in perplexity_page(results)
        write_perplexity_figures(results, tmp_path)
        assert not list(tmp_path.glob("re*"))

    @pytest.mark.parametrize(
        "text", ["<script>alert(1)</script>", "{{ 7 * 7 }}", "\x1b[31m\x00", "\u202ecba", "$\\frac{$"]
    )
    def test_names_of_others_stay_text(self, text):
        plain = perplexity_page(loss_results(recall=recall_results()))
        rows = [recall_row("full", moment="never"), recall_row(text), recall_row(text, moment="known")]
        given = recall_results(rows=rows, reference=text, meanings={text: text})
        page = perplexity_page(loss_results(recall=given))
        for mark in ("<script", "49<", "\x1b", "\x00", "\u202e"):
            assert page.count(mark) == plain.count(mark)

    def test_figures_come_with_their_numbers(self, tmp_path):
        write_perplexity_figures(loss_results(recall=recall_results()), tmp_path)
        for name in ("recall-by-cache", "recall-by-distance"):
            assert (tmp_path / f"{name}.svg").is_file()
            assert (tmp_path / f"{name}.png").is_file()
        lines = (tmp_path / "recall.csv").read_text(encoding="utf-8").splitlines()
        assert (
            lines[0] == "row,keys,cache,by,stratum,copied,low,high,questions,difference,difference_low,difference_high"
        )
        assert len(lines) == 1 + 3 * (1 + 3 + 2)
        assert lines[7].startswith("far,before,0.25,all,all,0.5,0.4,0.6,12,-0.25,-0.5,0.125")
        lines = (tmp_path / "reading-on.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "row,keys,cache,stratum,loss,difference,difference_low,difference_high"
        assert len(lines) == 1 + 2 * 2


def test_no_point_stands_at_the_edge_of_a_figure():
    difference = {"mean": 0.1, "low": 0.05, "high": 0.15}
    known = {"control": None, "of": None, "difference": difference, "difference_by_tag": {"names": difference}}
    full = {"name": "full", "pairs": 1.0, "control": None, "of": None, "difference": None, "difference_by_tag": {}}
    figure = tag_plot([full, {"name": "near", "pairs": 0.1, **known}, {"name": "far", "pairs": 0.2, **known}]).figure
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert low == 0
        assert high == pytest.approx(21)
