"""`grammask perplexity` on the command line: what it prints, where its files are, and how it goes on."""

import pytest
from helpers.causal_models import FAR, save_causal_model, write_texts
from helpers.loss_results import recall_results
from rich.console import Console

from grammask.cli.recall_table import recall_table


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("perplexity")
    save_causal_model(folder / "model")
    write_texts(folder / "texts")
    (folder / "far.toml").write_text(FAR.to_toml(), encoding="utf-8")
    return folder


def test_it_prints_its_rows_and_where_everything_is(grammask, place, monkeypatch, tmp_path):
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    command = [
        "perplexity",
        "--model",
        "model",
        "--text",
        "texts",
        "--length",
        "120",
        "--grammars",
        "far.toml:controls",
    ]
    command += ["--grammars", "far.toml:controls", "--controls", "longer-window", "--out", tmp_path / "out"]
    done = grammask(*command, "--figures", tmp_path / "figures", cwd=place)
    assert done.returncode == 0, done.stderr
    for text in ("full", "far", "of far", "pairs", "names", "100.0", "3 texts of at most 120 tokens"):
        assert text in done.stdout
    lines = done.stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if "pairs cache" in line)
    table = lines[first : first + 5]
    assert max(map(len, table)) <= 80
    for path in ("out/report.html", "out/perplexity.json", "figures/by-tag.svg", "figures/perplexity.csv"):
        assert (tmp_path / path).is_file()
    again = grammask(*command, cwd=place)
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    assert "--resume" in again.stderr
    assert grammask(*command, "--resume", cwd=place).returncode == 0
    (tmp_path / "out" / "report.html").unlink()
    alone = grammask("perplexity", "--report-only", tmp_path / "out", "--figures", tmp_path / "more", cwd=place)
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.splitlines()[:5] == table
    assert (tmp_path / "out" / "report.html").is_file()
    assert (tmp_path / "more" / "by-tag.svg").is_file()


def test_recall_is_printed_in_the_order_of_the_page():
    console = Console(width=80)
    with console.capture() as capture:
        console.print(recall_table(recall_results()))
    lines = capture.get().splitlines()
    assert lines[0].split() == ["cache", "copied", "to", "full", "codes", "names", "dates", "500", "1000"]
    far = next(number for number, line in enumerate(lines) if line.startswith("far"))
    assert lines[far].split() == ["far", "25.0", "50", "-25", "50", "50", "50", "50", "50"]
    assert lines[far + 1].split() == ["before", "40..60", "-50..+12"]
    last = next(number for number, line in enumerate(lines) if number > far and line.startswith("far"))
    assert lines[last].split() == ["far", "25.0", "3.0625", "-0.2500", "2.0000", "-0.2500"]
    assert lines[last + 1].split() == ["before", "-0.50..+0.12", "-0.50..+0.12"]
