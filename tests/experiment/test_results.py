"""Finished comparisons, read again: reports rebuilt, and several tasks on one page."""

import json
import shutil

import pytest
from helpers.comparisons import run

from grammask.cli.app import app, run_plainly
from grammask.errors import ExperimentError, GrammarError, TaskError
from grammask.experiment import grid_run
from grammask.experiment.grid_file import read_grid_file
from grammask.experiment.grid_run import run_grid
from grammask.experiment.grid_summary import read_task_folders, summarise_grid
from grammask.experiment.results import read_results, rebuild_results
from grammask.grammar.file import load_grammar
from grammask.report.results_page import results_page, results_plot

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    """Two comparisons, run once for all tests."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAMMASK_CACHE", str(root / "cache"))
        for name, seeds in (("one", (0, 1)), ("two", (0,))):
            run(
                settings, root / name, grammars=("paper:controls",), strategies=("full", "hard"), seeds=seeds,
                controls=("shuffled", "self-sinks"), metric="matthews" if name == "two" else "accuracy",
            )  # fmt: skip
    return root


@pytest.fixture
def folders(finished, tmp_path):
    return [shutil.copytree(finished / name, tmp_path / name) for name in ("one", "two")]


def test_finished_runs_are_enough_for_results_and_page(folders, settings, tmp_path):
    one = folders[0]
    before = json.loads((one / "results.json").read_text(encoding="utf-8"))
    assert not (one / "report.html").exists()
    (one / "runs" / "paper-hard-shuffled-seed1.json").unlink()
    rebuild_results([one])
    after = json.loads((one / "results.json").read_text(encoding="utf-8"))
    assert (one / "report.html").is_file()
    assert len(after["runs"]) == len(before["runs"]) - 1
    rows = {row["control"] or row["strategy"]: row for row in after["summary"]}
    assert rows["shuffled"]["seeds"] == [0]
    # All but the p-value that is corrected for the other rows is as it was.
    kept = {"control": "self-sinks", "p_holm": None}
    one_row, row_before = (
        next(row | kept for row in found["summary"] if row["control"] == "self-sinks") for found in (after, before)
    )
    assert one_row == row_before
    finished = read_results(one)
    assert len(finished.outcomes[0].labels) == 9
    grid = json.loads(json.dumps(summarise_grid(read_task_folders(folders))))
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
    assert "| shuffled of paper | 1 |" in page
    assert "| self-sinks of paper | 2 |" in page
    assert "--metric matthews --out runs/two" in page
    assert f"`grammask compare --task {settings['task']} --model {settings['model']} --epochs 1 " in page
    assert results_plot(grid).svg().startswith("<svg")


def test_what_isnt_finished_is_refused(folders, tmp_path):
    with pytest.raises(ExperimentError, match="no finished run"):
        read_results(tmp_path)
    (folders[0] / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(ExperimentError, match="damaged"):
        rebuild_results([folders[0]])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "two").symlink_to(folders[1])
    with pytest.raises(ExperimentError, match="share a name"):
        read_task_folders([folders[1], tmp_path / "other" / "two"])


def test_grammars_of_equal_density_are_held_against_each_other(settings, tmp_path):
    same = tmp_path / "same.toml"
    same.write_text(load_grammar("paper").to_toml().replace('name = "paper"', 'name = "same"'), encoding="utf-8")
    run(
        settings, tmp_path / "one", grammars=("paper:hard", f"{same}:hard", "neighbours:hard"),
        strategies=("full", "hard"), seeds=(0,),
    )  # fmt: skip
    grid = summarise_grid(read_task_folders([tmp_path / "one"]))
    (mean,) = grid["against_others"]
    assert (mean["grammar"], mean["against"]["grammar"]) == ("paper", "same")
    assert mean["difference"] == 0.0
    page = results_page(grid)
    assert "| hard paper | not shown to differ | hard same | 1 | 1 | +0.0 " in page
    assert "| hard neighbours | 1 |" in page


def compare_command(*arguments):
    return run_plainly(lambda: app(["compare", *map(str, arguments)]))


def grid_file(path, settings, *, extra="", rows=""):
    path.write_text(
        f"""
[settings]
model = {json.dumps(settings["model"])}
batch_size = 8
task = {json.dumps(settings["task"])}
{extra}
[tasks.one]
[tasks.two]
metric = "matthews"
[[rows]]
grammars = ["paper:hard"]
strategies = ["full", "hard"]
{rows}
""",
        encoding="utf-8",
    )
    return path


def test_a_grid_runs_its_rows_on_all_tasks_and_goes_on(settings, tmp_path, monkeypatch):
    path = grid_file(tmp_path / "grid.toml", settings)
    comparisons = read_grid_file(path)
    assert [(name, config.metric) for name, config in comparisons] == [("one", "accuracy"), ("two", "matthews")]
    said = []
    how = {"progress": lambda tagged, *_: tagged, "say": said.append}
    out = tmp_path / "out"
    summary = run_grid(comparisons, out, resume=False, **how)
    assert [task["metric"] for task in summary["tasks"]] == ["accuracy", "matthews"]
    assert [mean["tasks"] for mean in summary["means"]] == [["one", "two"]]
    with pytest.raises(ExperimentError, match="isn't empty; continue it with --resume"):
        run_grid(comparisons, out, resume=False, **how)

    assert (out / "one" / "report.html").is_file()
    ran = []
    monkeypatch.setattr(grid_run, "compare", lambda config, folder, **_: ran.append((folder.name, config.controls)))
    (out / "two" / "runs" / "paper-hard-seed0.json").unlink()
    more = grid_file(
        path, settings, rows='[[rows]]\ngrammars = ["paper"]\nstrategies = ["hard"]\ncontrols = ["random"]'
    )
    summary = run_grid(read_grid_file(more), out, resume=True, **how)
    assert ran == [("two", ()), ("one", ("random",)), ("two", ("random",))]
    assert said.count("finished before") == 1
    assert [mean["tasks"] for mean in summary["means"]] == [["one"]]
    with pytest.raises(ExperimentError, match=r"one holds another experiment \(epochs was 1.0, is 2.0\)"):
        run_grid(read_grid_file(grid_file(path, settings, extra="epochs = 2")), out, resume=True, **how)


def test_a_wrong_grid_file_is_told_before_anything_runs(settings, tmp_path):
    path = tmp_path / "grid.toml"
    for extra, rows, message in (
        ("epochs = 0", "", "row 1, task one: setting 'epochs' is 0"),
        ("", "[[rows]]\nepochs = 2", "row 2 has 'epochs'; rows have grammars, "),
        ("", "[[rows]]\ncontrols = ['rnadom']", "row 2, task one: .*rnadom"),
        ("", "[tasks.'a/b']", "names a folder, is 'a/b'"),
        ("", '[tasks."grid.json"]', "task 'grid.json' has the name of a file that the grid writes; rename it"),
        ("", '[tasks."Results.md"]', "task 'Results.md' has the name"),
        ("", "[row]", "row: Extra inputs"),
        ("= 1", "", "not valid TOML"),
    ):
        with pytest.raises(ExperimentError, match=message):
            read_grid_file(grid_file(path, settings, extra=extra, rows=rows))
    with pytest.raises(GrammarError, match="no grammar 'papre'"):
        read_grid_file(grid_file(path, settings, rows='[[rows]]\ngrammars = ["papre"]'))
    with pytest.raises(ExperimentError, match="cannot be read"):
        read_grid_file(tmp_path / "none.toml")


def test_data_that_is_missing_is_told_before_the_first_run(settings, tmp_path, monkeypatch):
    path = grid_file(tmp_path / "grid.toml", settings, rows="[tasks.three]\ntask = 'nope.tsv'")
    monkeypatch.setattr(grid_run, "compare", None)
    with pytest.raises(TaskError, match=r"no task 'nope.tsv': there is no such file"):
        run_grid(read_grid_file(path), tmp_path / "out", resume=False, progress=lambda tagged, *_: tagged, say=print)
    assert not (tmp_path / "out").exists()


def test_a_grid_on_the_command_line(folders, settings, tmp_path, capsys):
    path = grid_file(tmp_path / "grid.toml", settings)
    assert compare_command("--grid", path, "--epochs", "2") == 2
    assert "--epochs and --grid exclude each other" in capsys.readouterr().err
    assert compare_command("--grid", path, "--report-only") == 2
    assert "--report-only needs the folder" in capsys.readouterr().err
    assert compare_command("--grid", path, "--report-only", "--out", tmp_path) == 0
    assert str(tmp_path / "results.md") in capsys.readouterr().out
    assert "| hard paper | 2 |" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_folders_and_records_are_reported_by_their_names(folders, tmp_path, capsys):
    one, two = folders
    assert not (one / "report.html").exists()
    assert compare_command("--report-only", one) == 0
    assert str(one / "report.html") in capsys.readouterr().out
    assert (one / "report.html").is_file()
    assert not (one / "results.md").exists()
    assert compare_command("--report-only", one, "--figures", tmp_path / "figures") == 0
    assert any((tmp_path / "figures").iterdir())
    assert compare_command("--report-only", one, two) == 2
    assert "--report-only of several folders needs the folder of the page: --out FOLDER" in capsys.readouterr().err
    assert compare_command("--report-only", one, two, "--out", one) == 2
    assert "is one of the comparisons" in capsys.readouterr().err
    assert compare_command("--report-only", one, "--out", two / ".." / "one") == 0
    assert not (one / "results.md").exists()
    assert compare_command("--report-only", tmp_path / "none") == 2
    assert "name the grid.json of a page, or the folders of finished comparisons" in capsys.readouterr().err
    page = tmp_path / "page"
    assert compare_command("--report-only", one, two, "--out", page, "--figures", tmp_path / "more") == 2
    assert "--figures are of one comparison" in capsys.readouterr().err
    assert not page.exists()
    assert compare_command("--report-only", one, two, "--out", page) == 0
    written = {path.name: path.read_bytes() for path in page.iterdir()}
    assert set(written) == {"results.md", "grid.json", "grid.svg"}
    assert b"| hard paper | 2 |" in written["results.md"]
    (page / "results.md").unlink()
    assert compare_command("--report-only", page / "grid.json") == 0
    assert {path.name: path.read_bytes() for path in page.iterdir()} == written
    assert compare_command("--report-only", page / "grid.json", "--out", tmp_path / "copy") == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == written
    assert compare_command("--report-only", two, "--out", tmp_path / "single") == 0
    assert "| hard paper | 1 |" in (tmp_path / "single" / "results.md").read_text(encoding="utf-8")


def test_paths_are_for_reports_only(tmp_path, capsys):
    assert compare_command(tmp_path) == 2
    assert f"{tmp_path} is for --report-only; name a task with --task" in capsys.readouterr().err
    assert compare_command("--grid", tmp_path / "grid.toml", "--report-only", tmp_path, "--out", tmp_path) == 2
    assert "PATH and --grid exclude each other" in capsys.readouterr().err
    assert compare_command("--report-only", tmp_path, "--metric", "matthews") == 2
    assert "--metric and --report-only exclude each other" in capsys.readouterr().err
