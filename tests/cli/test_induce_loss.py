"""`grammask induce --from loss`: what it writes, and which options it shares with the other sources."""

import json

from helpers.language_models import bare_tokenizer, language_model

from grammask.grammar.file import load_grammar


def test_the_loss_gives_grammar_record_and_curve(grammask, tmp_path):
    model = tmp_path / "model"
    language_model("llama", vocab_size=len(bare_tokenizer()), max_position_embeddings=512).save_pretrained(model)
    bare_tokenizer().save_pretrained(model)
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text("The film was quiet. Nobody saw it again. " * (12 + number))
    options = ("--length", "80", "--at", "96", "--full-heads", "1", "--named-heads", "2", "--budget", "0.5")
    done = grammask(
        "induce", "--from", "loss", "--text", str(folder), "--model", str(model), *options,
        "--out", str(tmp_path / "far.toml"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "far.json").read_text())
    grammar = load_grammar(tmp_path / "far.toml")
    assert record["documents"] == ["0.txt", "1.txt", "2.txt", "4.txt"]
    assert record["held_out"] == ["3.txt"]
    assert record["pairs"] <= 0.5
    assert len(record["curve"]) == 4
    assert "<svg" in (tmp_path / "far.svg").read_text()
    assert any(rule.name == "any word reads all far words" for rule in grammar.rules)


def test_options_of_one_source_are_refused_for_another(grammask, tmp_path):
    out = ("induce", "--out", tmp_path / "far.toml")
    done = grammask(*out, "--from", "loss", "--scope", "head")
    assert (done.returncode, done.stderr) == (
        2, "grammask: --scope and --from loss exclude each other; leave one out\n",
    )  # fmt: skip
    done = grammask(*out, "--full-heads", "3")
    assert (done.returncode, done.stderr) == (
        2, "grammask: --full-heads and --from arcs exclude each other; it is for --from loss\n",
    )  # fmt: skip
