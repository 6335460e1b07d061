"""`grammask perplexity` on the command line: what it prints, where its files are, and how it goes on."""

import pytest
from helpers.causal_models import FAR, save_causal_model, write_texts


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
