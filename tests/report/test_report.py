"""The report: honest sentences, nothing fetched, everything escaped."""

import re

import pytest
from helpers.report_results import results, row

from grammask.errors import ExperimentError
from grammask.report.compare_page import finding, render_report, write_report


@pytest.mark.parametrize(
    ("difference", "interval", "sentence"),
    [
        (-0.05, [-0.08, -0.02], "hard paper is below full attention (-5.0 points, 95 % interval -8.0 to -2.0)."),
        (0.03, [0.01, 0.05], "hard paper is above full attention (+3.0 points, 95 % interval +1.0 to +5.0)."),
        (
            0.0,
            [0.0, 0.0],
            "hard paper: no difference to full attention could be shown (+0.0 points, 95 % interval +0.0 to +0.0).",
        ),
    ],
)
def test_the_finding_says_no_more_than_its_interval(difference, interval, sentence):
    assert finding(row("hard", "paper", 0.8, difference, interval)) == sentence


def test_the_page_fetches_nothing_and_is_the_same_each_time():
    page = render_report(results())
    assert page == render_report(results())
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "6,000 of\n9,536" in page
    assert "85.0<small>83.0 to 87.0</small>" in page
    assert "<td>0.012</td>\n<td>not shown</td>" in page
    assert "a loss of +1.0 points" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'(?:href="#|url\(#)([^")]+)', page):
        assert reference in ids


def test_names_from_outside_are_escaped_in_text_and_pictures():
    evil = "<script>alert(1)</script>"
    page = render_report(results(
        task={**results()["task"], "name": evil, "labels": [evil]},
        summary=[row("full", None, 0.8, None, None), row("hard", evil + "$x^2$", 0.8, 0.0, [0.0, 0.0])],
    ))  # fmt: skip
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_an_unfinished_comparison_says_so():
    assert "runs are finished" not in render_report(results())
    assert "1 of 4 runs are finished" in render_report(results(planned_runs=4, complete=False))


def test_a_failed_write_keeps_the_old_page(tmp_path):
    path = tmp_path / "report.html"
    write_report(results(), path)
    before = path.read_text(encoding="utf-8")
    blocked = tmp_path / "file" / "report.html"
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match="cannot be written"):
        write_report(results(), blocked)
    assert path.read_text(encoding="utf-8") == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "report.html"]
