"""A comparison that is small, and its fixtures."""

from unittest.mock import patch

import pytest
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer

from grammask.experiment import results as results_module
from grammask.experiment.compare import compare
from grammask.experiment.config import make_config
from grammask.report.compare_page import write_report


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A tiny model and a task that it can learn nothing from in no time."""
    folder = tmp_path_factory.mktemp("experiment")
    made = tokenizer("wordpiece")
    tiny_model("bert", vocab_size=len(made), pad_token_id=made.pad_token_id).base_model.save_pretrained(
        folder / "model"
    )
    made.save_pretrained(folder / "model")
    (folder / "data").mkdir()
    for split, rows in (("train", 24), ("dev", 9)):
        lines = [
            f"The {'good' if row % 2 else 'bad'} dog {'barks' if row % 3 else 'sleeps'} {row}.\t{row % 2}"
            for row in range(rows)
        ]
        (folder / "data" / f"{split}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n", encoding="utf-8")
    return {"task": str(folder / "data"), "model": str(folder / "model"), "batch_size": 8}


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path / "cache"))


def run(settings, out, *, resume=False, keep_models=False, pages="none", **changes):
    """Run a comparison. Its page takes longer than a run: it is drawn after `each` one, the `last` one or `none`."""
    said = []

    def draw(content, *place, **how):
        if pages == "each" or (pages == "last" and content["complete"]):
            write_report(content, *place, **how)

    with patch.object(results_module, "write_report", draw):
        results = compare(
            make_config(**{**settings, **changes}), out, resume=resume, progress=lambda tagged, *_: tagged,
            say=said.append, keep_models=keep_models,
        )  # fmt: skip
    return results, said
