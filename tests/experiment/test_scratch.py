"""Models that begin from nothing: a BERT of the size that a name says, trained as others are, or refused."""

import json

import pytest
import torch
from helpers.comparisons import run
from transformers import AutoModelForSequenceClassification, set_seed
from typer.testing import CliRunner

from grammask.cli.app import app
from grammask.errors import ExperimentError
from grammask.experiment.config import make_config
from grammask.experiment.scratch_model import make_scratch, scratch_source
from grammask.experiment.scratch_shape import Shape, read_shape
from grammask.model.named_models import load_tokenizer

pytestmark = pytest.mark.usefixtures("own_cache")
NAME = "scratch:2x16x4"


def test_a_model_from_nothing_has_the_size_of_its_name_and_is_drawn_by_the_seed(settings, tmp_path):
    out = tmp_path / "out"
    given = {"model": NAME, "grammars": ("paper:hard",), "seeds": (0, 1), "precision": "float32"}
    results, _ = run(settings, out, **given, keep_models=True)
    facts = results["model"]
    assert (facts["name"], facts["model_type"], facts["layers"], facts["heads"], facts["hidden_size"]) == (
        NAME, "bert", 2, 4, 16,
    )  # fmt: skip
    assert facts["parameters"] == 30522 * 16 + 512 * 16 + 2 * 16 + 32 + 2 * 3280 + 272 + 34
    assert "bert.encoder.layer.1.attention.self.query.weight" in facts["new_parameters"]
    kept = AutoModelForSequenceClassification.from_pretrained(out / "models" / "full-seed0")
    assert (kept.config.intermediate_size, kept.config.num_labels, kept.config.vocab_size) == (64, 2, 30522)
    losses = {record["id"]: record["training_loss"] for record in results["runs"]}
    assert losses["full-seed0"] != losses["full-seed1"]
    again, _ = run(settings, tmp_path / "again", **given)
    assert {record["id"]: record["training_loss"] for record in again["runs"]} == losses
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["model"] == NAME
    with pytest.raises(ExperimentError, match="another experiment"):
        run(settings, out, resume=True, **{**given, "model": "scratch:2x16x2"})


def test_equal_seeds_make_equal_models():
    tokenizer = load_tokenizer(scratch_source(NAME))
    made = []
    for seed in (0, 0, 1):
        set_seed(seed)
        made.append(make_scratch(Shape(1, 8, 2), tokenizer, ("0", "1", "2")).model)
    one, same, other = (model.bert.encoder.layer[0].attention.self.query.weight for model in made)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert made[0].config.num_labels == 3
    assert made[0].config.id2label == {0: "0", 1: "1", 2: "2"}


@pytest.mark.parametrize(
    ("sizes", "why"),
    {
        "2x100x3": "heads share the width, and 100 is not divisible by 3",
        "2x4x8": "4 is not divisible by 8",
        "0x128x2": "it must be scratch:LAYERSxWIDTHxHEADS, three whole numbers above 0",
        "2x0x2": "it must be scratch:LAYERSxWIDTHxHEADS",
        "2x128x0": "it must be",
        "2x128": "it must be",
        "": "it must be",
        "-2x128x2": "it must be",
        "2x1.5x1": "it must be",
        "2x128x2 ": "it must be",
        "٢x128x2": "it must be",
        f"2x{9 * '9'}9x1": "it must be",
        "2x100000x1": "about 240,000,000,000 weights; take at most 100 layers and 1,000,000,000 weights",
        "101x8x2": "take at most 100 layers",
    }.items(),
)
def test_sizes_that_cannot_be_are_one_line(sizes, why):
    with pytest.raises(ExperimentError, match=f"setting 'model' is .*{why}"):
        make_config(model=f"scratch:{sizes}")


def test_other_names_are_not_sizes():
    assert read_shape("scratch") is None
    assert read_shape("minilm") is None
    assert read_shape("scratch:2x128x2") == Shape(2, 128, 2)


def test_what_is_new_as_a_whole_has_no_weights_to_keep(settings, tmp_path):
    with pytest.raises(ExperimentError, match="setting 'attention' is 'fresh': all weights of scratch:2x16x4 are new"):
        make_config(model=NAME, attention="fresh")
    given = ["--task", settings["task"], "--model", "scratch:2x10x4", "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, ["compare", *given]).exit_code != 0
    assert not (tmp_path / "out").exists()
