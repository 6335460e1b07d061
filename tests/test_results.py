"""Finished comparisons, read again: reports rebuilt, and several tasks on one page."""

import json

import pytest
from test_compare import own_cache, run, settings  # noqa: F401 - fixtures

from grammask.errors import ExperimentError
from grammask.experiment.finished import read_finished, rebuild
from grammask.experiment.grid import summarise_grid
from grammask.grammar_file import load_grammar
from grammask.report.results_page import results_page, results_plot


@pytest.fixture
def folders(settings, tmp_path):  # noqa: F811
    for name, seeds in (("one", (0, 1)), ("two", (0,))):
        run(
            settings, tmp_path / name, grammars=("paper:controls",), strategies=("full", "hard"), seeds=seeds,
            controls=("shuffled", "self-sinks"), metric="matthews" if name == "two" else "accuracy",
        )  # fmt: skip
    return [tmp_path / "one", tmp_path / "two"]


def test_finished_runs_are_enough_for_results_and_page(folders, tmp_path, capsys):
    one = folders[0]
    before = json.loads((one / "results.json").read_text(encoding="utf-8"))
    (one / "report.html").unlink()
    (one / "runs" / "paper-hard-shuffled-seed1.json").unlink()
    rebuild(one)
    after = json.loads((one / "results.json").read_text(encoding="utf-8"))
    assert (one / "report.html").is_file()
    assert len(after["runs"]) == len(before["runs"]) - 1
    rows = {row["control"] or row["strategy"]: row for row in after["summary"]}
    assert rows["shuffled"]["seeds"] == [0]
    assert [row for row in after["summary"] if row["control"] == "self-sinks"] == [
        row for row in before["summary"] if row["control"] == "self-sinks"
    ]
    finished = read_finished(one)
    assert len(finished.outcomes[0].labels) == 9
    grid = json.loads(json.dumps(summarise_grid(folders)))
    assert [task["name"] for task in grid["tasks"]] == ["one", "two"]
    hard = next(mean for mean in grid["means"] if mean["control"] is None)
    single = [
        next(row for row in task["rows"] if row["strategy"] == "hard" and row["control"] is None)["difference"]
        for task in grid["tasks"]
    ]
    assert hard["difference"] == pytest.approx(sum(single) / 2)
    assert hard["interval"][0] <= hard["difference"] <= hard["interval"][1]
    assert {mean["against"]["control"] for mean in grid["against_controls"]} == {"shuffled", "self-sinks"}
    assert grid["against_others"] == []  # there is one grammar
    page = results_page(grid)
    assert any(f"| paper | {verdict} |" in page for verdict in ("better", "worse", "not shown to differ"))
    assert "--grammar paper:controls --controls shuffled --seeds 0" in page
    assert "--metric matthews --out runs/two" in page
    assert results_plot(grid).svg().startswith("<svg")


def test_what_isnt_finished_is_refused(folders, tmp_path):
    with pytest.raises(ExperimentError, match="no finished run"):
        read_finished(tmp_path)
    (folders[0] / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(ExperimentError, match="damaged"):
        rebuild(folders[0])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "two").symlink_to(folders[1])
    with pytest.raises(ExperimentError, match="share a name"):
        summarise_grid([folders[1], tmp_path / "other" / "two"])


def test_grammars_of_equal_density_are_held_against_each_other(settings, tmp_path):  # noqa: F811
    same = tmp_path / "same.toml"
    same.write_text(load_grammar("paper").to_toml().replace('name = "paper"', 'name = "same"'), encoding="utf-8")
    run(
        settings, tmp_path / "one", grammars=("paper:hard", f"{same}:hard", "neighbours:hard"),
        strategies=("full", "hard"), seeds=(0,),
    )  # fmt: skip
    (mean,) = summarise_grid([tmp_path / "one"])["against_others"]
    assert (mean["grammar"], mean["against"]["grammar"]) == ("paper", "same")
    assert mean["difference"] == 0.0
