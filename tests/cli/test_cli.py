"""The command line: what it prints, and one line with exit code 2 for what is wrong."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.fresh_process import run_script
from typer.main import get_command

from grammask.cli.app import app
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import UPOS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wrong(grammask):
    """Run a command that must fail with one line and exit code 2, and return the line."""

    def run(*arguments, cwd=None):
        done = grammask(*arguments, cwd=cwd)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr + done.stdout
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("grammask: ")
        return lines[0]

    return run


def test_grammar_commands(grammask, tmp_path):
    listed = grammask("grammar", "list").stdout
    assert all(name in listed for name in ("neighbours", "paper", "paper-sinks"))
    shown = grammask("grammar", "show", "paper").stdout
    assert "│NOUN │D │D │· │· │· │D │· │D │" in shown
    assert "ADJ DET read NOUN PROPN anywhere" in shown
    assert "sinks: [CLS] [SEP], the first 4 tokens; same tag: False" in grammask("grammar", "show", "streaming").stdout
    of_heads = grammask("grammar", "show", "minilm-heads").stdout
    assert (
        of_heads.index("layer 0, head 11\n")
        < of_heads.index("layer 1, head 0\n")
        < of_heads.index("layer 5, head 11\n")
    )
    assert "nothing wrong" in grammask("grammar", "check", "neighbours").stdout
    text = tmp_path / "text.txt"
    text.write_text("Dogs bark.\n", encoding="utf-8")
    # [CLS] Dogs bark . [SEP]: each word reads itself, its neighbours and two sinks, [CLS] everything, [SEP] two.
    density = grammask("grammar", "density", "neighbours", "--text", text).stdout
    assert f"{100 * (4 + 5 + 4 + 5 + 2) / 25:.1f}" in density
    assert f"{100 * 7 / 9:.1f}" in density
    # Dogs bark . as a causal model reads it: 5 of 6 pairs.
    causal = grammask("grammar", "density", "neighbours", "--text", text, "--causal").stdout
    assert f"{100 * 5 / 6:.1f}" in causal
    assert "share of these pairs" in causal


def test_heads_that_read_alike_are_shown_by_what_they_read(grammask, tmp_path):
    rules = [Rule(("[CLS]",), UPOS)]
    for layer, head in itertools.product(range(30), range(9)):
        at = {"layers": (layer,), "heads": (head,)}
        rules.append(Rule(UPOS, UPOS, Reach("words", -64 if head else -1024, 0), **at))
        if (layer, head) in ((12, 3), (2, 5)):
            rules += [Rule(UPOS, ("NUM",), **at), Rule(UPOS, ("PROPN",), **at)]
    file = tmp_path / "many.toml"
    file.write_text(Grammar("many", tuple(rules)).to_toml(), encoding="utf-8")
    lines = grammask("grammar", "show", file).stdout.splitlines()
    where, what = "layer 2, head 5; layer 12, head 3", "the 64 words before it, and far numbers and names (NUM, PROPN)"
    assert f"{where}: any word reads {what}" in lines
    assert any(line.endswith(": any word reads the 1,024 words before it") for line in lines)
    assert sum("any word reads" in line for line in lines) == 3
    assert len(lines) < 40
    assert "  1  [CLS] read all words anywhere" in lines


def test_tag_shows_words(grammask):
    shown = grammask("tag", "She doesn't sleep.").stdout
    assert "PRON" in shown
    assert "n't" in shown


def test_wrong_names_and_files(wrong, tmp_path):
    assert "no grammar 'papr'" in wrong("grammar", "show", "papr")
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "x"\nsinks = ["[XYZ]"]', encoding="utf-8")
    assert "unknown tag '[XYZ]'" in wrong("grammar", "check", bad)
    assert "no tagger 'xx_none'" in wrong("tag", "a", "--tagger", "xx_none")
    empty = tmp_path / "empty.txt"
    empty.touch()
    assert "holds no text" in wrong("grammar", "density", "paper", "--text", empty)
    assert "No such file" in wrong("grammar", "density", "paper", "--text", tmp_path / "none.txt")


def commands(group, names=()):
    """Return the names of a command, and those of all below it."""
    yield names
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*names, name))


@pytest.mark.parametrize("names", commands(get_command(app)), ids=" ".join)
def test_every_command_has_help(grammask, names):
    done = grammask(*names, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout
    assert " ".join(names) in done.stdout


def test_a_process_of_its_own_has_help():
    command = [sys.executable, "-c", "from grammask.cli import main; main()", "compare", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage: " in done.stdout


COMPARE = [
    (("--strategies", "gentle"), "unknown strategy 'gentle'"),
    (("--grammar", "papr"), "no grammar 'papr'"),
    (("--task", "missing.tsv"), "no task 'missing.tsv'"),
    (("--task", "data", "--text-column", "body"), "has no column 'body'"),
    (("--seeds", "one"), "--seeds are whole numbers"),
    (("--epochs", "0"), "setting 'epochs'"),
    (("--precision", "int8"), "setting 'precision'"),
    (("--all", "--train-size", "5"), "exclude each other"),
    (("--resume",), "--resume needs the folder"),
    (("--resume", "--out", "nowhere"), "holds no experiment"),
    (("--out", "full"), "isn't empty"),
    (("--out", "full/file"), "is a file"),
    (("--model", "./none"), "no model './none'"),
    (("--model", "owner/none"), "no model 'owner/none'"),
    (("--tagger", "xx_none"), "no tagger 'xx_none'"),
]


@pytest.mark.parametrize(
    ("options", "message"), COMPARE, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_comparison_that_cannot_start_says_why_and_writes_nothing(wrong, tmp_path, options, message):
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "dev"):
        (data / f"{split}.tsv").write_text("text\tlabel\ngood\t1\nbad\t0\n", encoding="utf-8")
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").write_text("mine", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    assert message in wrong("compare", *options, cwd=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert (full / "file").read_text(encoding="utf-8") == "mine"


def test_the_papers_door_says_what_it_cannot_reach(tmp_path):
    done = run_script(ROOT / "run_experiment.py", "--task", "none.tsv", cwd=tmp_path)
    assert done.returncode == 2
    assert "no task 'none.tsv'" in done.stderr


def test_induce_writes_a_grammar_its_record_and_its_curve(grammask, wrong, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The old dog sleeps near a small red door.\nShe never saw the film again.\n" * 15, encoding="utf-8")
    out = tmp_path / "mine.toml"
    done = grammask("induce", "--text", text, "--budget", "0.3", "--most-rules", "9", "--out", out)
    assert "arcs covered %" in done.stdout, done
    assert "nothing wrong" in grammask("grammar", "check", out).stdout
    record = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert record["rules"] <= 10
    assert 0.2 < record["density"] <= 0.31
    assert record["arcs_covered"] > 0.5
    assert (tmp_path / "mine.svg").read_text(encoding="utf-8").startswith("<svg")
    before = out.read_bytes()
    assert "exists" in wrong("induce", "--text", text, "--out", out)
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "mine.txt"), "must end in .toml"),
        (("--out", "x.toml", "--from", "arc"), "--from must be one of arcs, attention, both, loss, but is 'arc'"),
        (("--out", "x.toml", "--scope", "head"), "arcs have none"),
        (("--out", "x.toml", "--held-out", "y"), "--held-out"),
        (("--out", "x.toml", "--conllu", "none.conllu"), "none.conllu: cannot be read"),
        (("--out", "x.toml", "--conllu", "y", "--from", "both"), "--conllu holds arcs only; --from both needs --text"),
        (("--out", "x.toml", "--text", "none.txt"), "none.txt cannot be read"),
    ],
)
def test_induce_refuses_what_it_cannot_do(wrong, arguments, message, tmp_path):
    assert message in wrong("induce", *arguments, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_corpus_without_ray_is_one_line(wrong, tmp_path, monkeypatch):
    (tmp_path / "in.jsonl").write_text('{"text": "Cats sleep."}\n', encoding="utf-8")
    for module in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, module, None)
    errors = wrong("tag", "--corpus", tmp_path / "in.jsonl", "--out", tmp_path / "out")
    assert "a corpus needs Ray, which is missing: pip install 'grammask[scale]'" in errors
    assert not (tmp_path / "out").exists()
