"""The commands that look inside a model: what they write, and one line for what is wrong."""

import json

import pytest
from helpers.language_models import bare_tokenizer, language_model
from helpers.lexicon import annotator, trained

import grammask


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    annotate = annotator()
    model = trained(annotate)
    model.save_pretrained(folder / "guided")
    grammask.detach(model)
    model.save_pretrained(folder / "stock")
    for name in ("guided", "stock"):
        annotate.tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def language_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language-models")
    model = language_model("llama")
    model.save_pretrained(folder / "stock")
    grammask.attach(model, "names-far").save_pretrained(folder / "guided")
    for name in ("guided", "stock"):
        bare_tokenizer().save_pretrained(folder / name)
    return folder


@pytest.fixture
def grammask_says(grammask, own_cache):
    """Run a command, and return its exit code and what it printed."""

    def run(*arguments):
        done = grammask(*arguments)
        return done.returncode, done.stdout, done.stderr

    return run


def test_explain_writes_page_numbers_and_figures(saved, grammask_says, tmp_path):
    out = tmp_path / "page.html"
    texts = ("the kind cat sees a film .", "the cruel king likes <b>the</b> town . " * 20)
    code, said, _ = grammask_says(
        "explain", "--model", saved / "guided", *texts, "--out", out, "--data", "--figures", tmp_path / "figures",
        "--rule", "3", "--layer", "1",
    )  # fmt: skip
    assert code == 0
    assert "page.html" in said
    data = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))
    assert data["texts"][1]["words_cut"] > 0
    page = out.read_text(encoding="utf-8")
    assert "doesn&#39;t read the last" in page or "doesn't read the last" in page
    assert "<b>the</b>" not in page
    names = {path.name for path in (tmp_path / "figures" / "text2").iterdir()}
    assert names == {"arcs.svg", "arcs.csv"} | {
        f"{name}.{kind}" for name in ("words", "mass", "changes") for kind in ("svg", "png", "csv")
    }
    before = out.read_bytes()
    code, _, wrong = grammask_says("explain", "--model", saved / "guided", "the cat", "--out", out)
    assert code == 2
    assert "exists" in wrong
    assert out.read_bytes() == before
    code, _, _ = grammask_says("explain", "--model", saved / "guided", "the cat", "--out", out, "--force")
    assert code == 0
    assert out.read_bytes() != before


def test_explain_shows_why_a_token_is_predicted(language_models, grammask_says, tmp_path):
    text = "Anna saw <b>a</b> film, and then Anna liked it."
    for name, options in (("stock", ("--grammar", "names-far")), ("guided", ())):
        out = tmp_path / f"{name}.html"
        code, said, wrong = grammask_says(
            "explain", "--model", language_models / name, text, "--token", "Anna", "--out", out, "--data",
            "--figures", tmp_path / name, *options,
        )  # fmt: skip
        assert code == 0, wrong
        assert "“A" in said
        assert "nats" in said
        (one,) = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["texts"]
        assert one["token"]["in_text"]
        assert [word["text"] for word in one["words"]][-2:] == ["then", "␣"]
        assert "<b>" not in out.read_text(encoding="utf-8")
        assert "log_change" in (tmp_path / name / "text1" / "changes.csv").read_text(encoding="utf-8")
    code, said, _ = grammask_says("explain", "--model", language_models / "guided", text, "--out", tmp_path / "n.html")
    assert code == 0
    assert "likeliest" in (tmp_path / "n.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["explain", "--model", "stock", "the cat"], "saved without a grammar"),
        (["explain", "--model", "guided", "the cat", "--grammar", "paper"], "was saved with a grammar"),
        (["explain", "--model", "minilm", "the cat", "--grammar", "paper"], "answers neither with a label nor with"),
        (["explain", "--model", "guided", "the cat", "--token", "dog"], "text 1 has no word 'dog'"),
        (["explain", "--model", "guided", "the cat", "--token", "-99"], "text 1 has no token -99"),
        (["explain", "--model", "guided", "the cat", "--token", "0"], "nothing stands before"),
        (["faithfulness", "--model", "guided", "--text", "text.txt"], "measured for classifiers"),
    ],
)
def test_what_a_language_model_cannot_answer_is_one_line(language_models, grammask_says, tmp_path, arguments, line):
    (tmp_path / "text.txt").write_text("the cat\nthe king\n", encoding="utf-8")
    places = {
        "stock": language_models / "stock",
        "guided": language_models / "guided",
        "text.txt": tmp_path / "text.txt",
    }
    out = tmp_path / "page.html"
    code, _, wrong = grammask_says(*(places.get(part, part) for part in arguments), "--out", out)
    assert code == 2
    assert line in wrong
    assert len(wrong.strip().splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--model", "stock", "the cat"], "saved without a grammar"),
        (["--model", "guided", "the cat", " "], "text 2 is empty"),
        (["--model", "guided", "the cat", "--rule", "seven"], "unknown rule 'seven'"),
        (["--model", "guided", "the cat", "--layer", "9"], "unknown layer 9; the model has layers 0 to 1"),
        (["--model", "guided"], "give either texts to explain or a file"),
        (["--model", "guided", "the cat", "--out", "page.txt"], "must end in .html"),
        (["--model", "nowhere", "the cat"], "no model"),
    ],
)
def test_what_cannot_be_explained_is_one_line(saved, grammask_says, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place = arguments.index("--model") + 1
    if arguments[place] != "nowhere":
        arguments = [*arguments[:place], saved / arguments[place], *arguments[place + 1 :]]
    code, _, wrong = grammask_says("explain", *arguments)
    assert code == 2
    assert line in wrong
    assert len(wrong.strip().splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}  # of tags


def test_adherence_and_faithfulness_write_their_pages(saved, grammask_says, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the kind cat sees a film .\nthe cruel king likes the town .\n", encoding="utf-8")
    out = tmp_path / "a.html"
    code, said, _ = grammask_says(
        "adherence", "--model", saved / "stock", "--grammar", "paper", "--text", text, "--out", out, "--data",
        "--figures", tmp_path / "figures",
    )  # fmt: skip
    assert code == 0
    assert "minus that on window" in said
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["reading"] == "reading everything"
    assert (tmp_path / "figures" / "beyond.png").is_file()
    later = ("--text", text, "--out", tmp_path / "b.html")
    code, _, wrong = grammask_says("adherence", "--model", saved / "stock", *later)
    assert code == 2
    assert "name one to compare it with" in wrong
    code, _, _ = grammask_says("adherence", "--model", saved / "guided", *later)
    assert code == 0
    assert "hard attention under the grammar decided" in (tmp_path / "b.html").read_text(encoding="utf-8")
    out = tmp_path / "f.html"
    code, said, _ = grammask_says("faithfulness", "--model", saved / "guided", "--text", text, "--out", out, "--data")
    assert code == 0
    assert "comprehensiveness" in said
    assert json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["texts"] == 2
