"""`grammask induce --from loss`: what it writes, and which options it shares with the other sources."""

import json

import pytest
from helpers.language_models import bare_tokenizer, language_model

from grammask.grammar.file import load_grammar


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = tmp_path_factory.mktemp("loss") / "model"
    language_model("llama", vocab_size=len(bare_tokenizer()), max_position_embeddings=2048).save_pretrained(model)
    bare_tokenizer().save_pretrained(model)
    return model


def test_the_loss_gives_grammar_record_and_curve(grammask, model, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text("Mr Ross saw the film in Berlin. Nobody saw it again. " * (48 + number))
    done = grammask(
        "induce", "--from", "loss", "--text", folder, "--model", model, "--length", "640", "--steps", "2",
        "--windows", "32,100", "--budget", "0.9", "--out", tmp_path / "far.toml",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "far.json").read_text())
    grammar = load_grammar(tmp_path / "far.toml")
    assert record["documents"] == ["0.txt", "1.txt", "2.txt", "4.txt"]
    assert record["held_out"] == ["3.txt"]
    assert record["pairs"] <= 0.9
    assert sum(record["heads"].values()) == 3 * 4
    assert len(record["curve"]) == 4
    assert "<svg" in (tmp_path / "far.svg").read_text()
    settings = f"--from loss --budget 0.9 --length 640 --steps 2 --model {model} --windows 32,100"
    assert grammar.source == f"grammask induce {settings}, on 4 documents"
    assert grammar.rules[1].name == "any word reads the 32 words before it"
    assert str(tmp_path / "far.toml") in done.stdout


def test_texts_without_names_have_no_loss_of_names(grammask, model, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(4):
        (folder / f"[b]{number}\n.txt").write_text("it rained and nobody came to see the quiet sea again. " * 60)
    done = grammask(
        "induce", "--from", "loss", "--text", folder, "--model", model, "--length", "640", "--steps", "1",
        "--budget", "0.9", "--out", tmp_path / "far.toml",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "far.json").read_text(), parse_constant=pytest.fail)  # JSON has no NaN
    assert record["full"]["names_loss"] is record["names_loss_difference"] is None
    assert {row["names_loss_difference"] for row in record["curve"]} == {None}
    assert "names" not in done.stdout.split("nats to full")[1].splitlines()[0]
    assert "all tokens" in (tmp_path / "far.svg").read_text()


def test_what_would_be_refused_in_the_end_is_refused_before_heads_learn(grammask, model, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text("Mr Ross saw the film in Berlin. Nobody saw it again. " * 48)
    out = ("induce", "--from", "loss", "--text", folder, "--length", "640", "--out", tmp_path / "far.toml")
    done = grammask(*out, "--model", model, "--budget", "0.01")
    assert done.returncode == 2
    assert "--budget 0.01 is too small: a window of 64 words alone is" in done.stderr
    done = grammask(*out, "--model", "x" * 20_000)
    assert done.returncode == 2
    assert "source" in done.stderr
    assert "learning" not in done.stdout


def test_texts_of_the_wrong_length_are_refused_in_one_line(grammask, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text("The film was quiet.")
    done = grammask("induce", "--from", "loss", "--text", folder, "--out", tmp_path / "far.toml", "--model", "smollm2")
    assert done.returncode == 2
    assert "0.txt has 5 tokens, but --from loss needs texts of at least 512" in done.stderr
    done = grammask(
        "induce", "--from", "loss", "--text", folder, "--out", tmp_path / "far.toml", "--model", "smollm2",
        "--length", "9000",
    )  # fmt: skip
    assert done.returncode == 2
    assert "--length 9000 is more than the 8192 tokens that model 'smollm2' reads; take fewer" in done.stderr
    assert not (tmp_path / "far.toml").exists()


def test_options_of_one_source_are_refused_for_another(grammask, tmp_path):
    out = ("induce", "--out", tmp_path / "far.toml")
    done = grammask(*out, "--from", "loss", "--scope", "head")
    assert (done.returncode, done.stderr) == (
        2, "grammask: --scope and --from loss exclude each other; leave one out\n",
    )  # fmt: skip
    done = grammask(*out, "--steps", "3")
    assert (done.returncode, done.stderr) == (
        2, "grammask: --steps and --from arcs exclude each other; it is for --from loss\n",
    )  # fmt: skip
