"""`perplexity` from texts to perplexity.json: losses against the model's own, records, resuming, folders."""

import json
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pytest
import torch
from helpers.causal_models import BY_HEAD, FAR, causal_model, save_causal_model, write_texts
from helpers.other_device import other_device
from helpers.tokenizers_for_tests import tokenizer
from torch.nn.functional import cross_entropy

import grammask
from grammask.environment import check_device
from grammask.errors import ExperimentError, InputError, ModelError
from grammask.experiment.perplexity import loss_results
from grammask.experiment.perplexity import run_perplexity as module
from grammask.experiment.perplexity.config import CONTROL_NAMES, make_perplexity_config
from grammask.experiment.perplexity.run_perplexity import run_perplexity
from grammask.model import token_losses as losing
from grammask.model.token_losses import token_losses

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("perplexity")
    save_causal_model(folder / "model")
    write_texts(folder / "texts")
    for grammar in (FAR, BY_HEAD):
        (folder / f"{grammar.name}.toml").write_text(grammar.to_toml(), encoding="utf-8")
    return {
        "model": str(folder / "model"), "text": str(folder / "texts"), "length": 120, "skip": 20, "near": 12,
        "grammars": (str(folder / "far.toml"),), "controls": ("longer-window", "shuffled-tags"),
    }  # fmt: skip


def run(settings, out, *, resume=False, page=False, **changes):
    """Run, without the page that each row draws anew: it takes longer than the row."""
    said = []
    changes = {**settings, **changes}
    device = changes.pop("device", "cpu")
    config = make_perplexity_config(**changes).model_copy(update={"device": device})
    with nullcontext() if page else patch.object(loss_results, "write_perplexity_page"):
        results = run_perplexity(config, out, resume=resume, progress=lambda parts, *_: parts, say=said.append)
    return results, said


def records(out):
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((out / "runs").iterdir())}


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [("llama", {}), ("granite", {"logits_scaling": 4.0}), ("gpt2", {"n_embd": 24, "n_layer": 3, "n_head": 6})],
)
@pytest.mark.parametrize("grammar", [None, FAR, BY_HEAD])
def test_losses_are_those_of_the_models_own_logits(model_type, changes, grammar, monkeypatch):
    monkeypatch.setattr(losing, "_CHUNK", 7)  # so that the last chunk is a part of one
    model = causal_model(model_type, **changes)
    inputs = dict(grammask.Annotator(tokenizer("bytes"), cache=False)("Ada met Bo in 1901, and Bo knew Ada. " * 2,
                                                                     return_tensors="pt"))  # fmt: skip
    if grammar is None:
        inputs = {"input_ids": inputs["input_ids"]}
    else:
        grammask.attach(model, grammar)
    with torch.no_grad():
        logits = model(**inputs, use_cache=False).logits[0].double()
    wanted = cross_entropy(logits[:-1], inputs["input_ids"][0, 1:], reduction="none").numpy()
    assert token_losses(model, inputs, 1) == pytest.approx(wanted, abs=1e-5)
    assert token_losses(model, inputs, 20) == pytest.approx(wanted[19:], abs=1e-5)
    assert model(**inputs).logits.shape[1] == inputs["input_ids"].shape[1]  # the model is whole again


def test_a_model_that_answers_with_nan_is_told():
    model = causal_model()
    with torch.no_grad():
        model.lm_head.weight[5] = torch.nan
    with pytest.raises(ModelError, match="NaN"):
        token_losses(model, {"input_ids": torch.tensor([[8, 9, 10]])}, 1)


def test_a_run_writes_what_it_promises(settings, tmp_path):
    results, said = run(settings, tmp_path / "out", page=True)
    assert "<svg" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out" / "perplexity.json").read_text(encoding="utf-8")) == results
    assert results["complete"]
    assert [(row["name"], row["control"], row["of"]) for row in results["rows"]] == [
        ("full", None, None), ("far", None, None), ("far-longer-window", "longer-window", "far"),
        ("far-shuffled-tags", "shuffled-tags", "far"),
    ]  # fmt: skip
    full, far, window, shuffled = results["rows"]
    assert (full["pairs"], full["cache"], full["difference"], full["against"]) == (1, 1, None, None)
    assert 0 < far["pairs"] < 1
    assert 0 < far["cache"] < 1
    for control in (window, shuffled):
        assert control["pairs"] == pytest.approx(far["pairs"], rel=0.05)  # words are few here
        assert control["against"]["difference"]["mean"] == pytest.approx(far["loss"] - control["loss"])
        assert set(control["against"]["difference_by_tag"]) == set(far["loss_by_tag"])
    for row in (far, window, shuffled):
        assert row["difference"]["mean"] == pytest.approx(row["loss"] - full["loss"])
        assert row["difference"]["low"] <= row["difference"]["mean"] <= row["difference"]["high"]
        names = row["loss_by_tag"]["names"]
        parts = [row["loss_by_tag"][tag] for tag in ("PROPN", "NUM")]
        assert names["tokens"] == sum(part["tokens"] for part in parts)
        assert names["loss"] * names["tokens"] == pytest.approx(sum(part["loss"] * part["tokens"] for part in parts))
        assert sum(found["tokens"] for found in row["loss_by_distance"].values()) == row["tokens"]
    assert {text["name"] for text in results["texts"]} == {"a.txt", "b.txt", "c.txt"}
    assert "Cora" not in json.dumps(results)
    assert "3 texts of at most 120 tokens" in said[0]


def test_a_run_that_was_killed_goes_on_and_repeats_nothing(settings, tmp_path, monkeypatch):
    whole, _ = run(settings, tmp_path / "whole")
    real, done = module.measure_row, []

    def killed(model, row, text, number, *more, **others):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append((row.name, number))
        return real(model, row, text, number, *more, **others)

    monkeypatch.setattr(module, "measure_row", killed)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "out")
    before = records(tmp_path / "out")
    assert len(before) == 7
    partial = json.loads((tmp_path / "out" / "perplexity.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in partial["rows"]] == ["full", "far"]
    assert not partial["complete"]
    done.clear()
    monkeypatch.setattr(module, "measure_row", lambda *given, **named: done.append(1) or real(*given, **named))
    results, _ = run(settings, tmp_path / "out", resume=True)
    assert len(done) == 12 - 7
    assert before.items() <= records(tmp_path / "out").items()
    unlike = {"seconds", "environment"}
    for one, other in zip(whole["rows"], results["rows"], strict=True):
        assert {key: value for key, value in one.items() if key not in unlike} == {
            key: value for key, value in other.items() if key not in unlike
        }
    done.clear()
    run(settings, tmp_path / "out", resume=True)
    assert not done


def test_another_device_gives_the_same_losses_in_a_folder_of_its_own(settings, tmp_path, monkeypatch):
    changes = {"controls": (), "limit": 2}
    here, _ = run(settings, tmp_path / "here", **changes)
    assert here["environment"]["device"] == here["config"]["device"] == "cpu"
    monkeypatch.setattr(module, "check_device", lambda _: None)
    with other_device() as device:
        there, _ = run(settings, tmp_path / "there", device=str(device), **changes)
    assert there["environment"]["device"] == there["config"]["device"] == "lazy:0"
    for own, other in zip(here["rows"], there["rows"], strict=True):
        assert other["loss"] == pytest.approx(own["loss"], abs=1e-4)
        assert {key: other[key] for key in ("pairs", "cache")} == {key: own[key] for key in ("pairs", "cache")}
    with pytest.raises(ExperimentError, match="device was 'lazy:0', is 'cpu'"):
        run(settings, tmp_path / "there", resume=True, **changes)
    config = json.loads((tmp_path / "here" / "config.json").read_text(encoding="utf-8"))
    del config["device"]  # as in folders that were made before
    (tmp_path / "here" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    run(settings, tmp_path / "here", resume=True, **changes)


def test_a_gpu_that_is_not_there_is_one_clear_line(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ExperimentError, match="^setting 'device' is 'cuda', but PyTorch finds no GPU here; leave it"):
        run_perplexity(
            make_perplexity_config(**settings, device="cuda"), tmp_path / "out", resume=False, progress=None, say=None,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()
    with pytest.raises(ExperimentError, match=r"^setting 'device' is 'tpu', but must be one of cpu, cuda$"):
        check_device("tpu")


def test_a_folder_takes_more_rows_but_nothing_else(settings, tmp_path):
    run(settings, tmp_path / "out", controls=(), limit=2)
    results, _ = run(settings, tmp_path / "out", resume=True, controls=("rarest",), limit=2)
    assert [row["name"] for row in results["rows"]] == ["full", "far", "far-rarest"]
    for changes in ({"length": 100}, {"near": 3}, {"seed": 1}, {"limit": 1}):
        with pytest.raises(ExperimentError, match="holds another experiment"):
            run(settings, tmp_path / "out", resume=True, **{"limit": 2, **changes})
    with pytest.raises(ExperimentError, match="isn't empty"):
        run(settings, tmp_path / "out", limit=2)


def test_a_record_that_is_damaged_or_anothers_is_told(settings, tmp_path):
    out = tmp_path / "out"
    run(settings, out, controls=(), limit=2)
    first, second = (out / "runs" / f"far-0000{number}.json" for number in (1, 2))
    kept = first.read_text(encoding="utf-8")
    for text, message in ((kept[:50], "damaged"), (second.read_text(encoding="utf-8"), "another row or text")):
        first.write_text(text, encoding="utf-8")
        with pytest.raises(ExperimentError, match=message):
            run(settings, out, resume=True, controls=(), limit=2)
    changed = json.loads(kept) | {"losses": [[1.0]]}
    first.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(ExperimentError, match="no table"):
        run(settings, out, resume=True, controls=(), limit=2)
    first.write_text(kept.replace(json.loads(kept)["row_sha256"], "0" * 64), encoding="utf-8")
    with pytest.raises(ExperimentError, match="another grammar or control"):
        run(settings, out, resume=True, controls=(), limit=2)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "holds no text files"),
        ({"a.txt": "fine", "b.txt": " \n"}, "b.txt: the file holds no text"),
        ({"a.txt": "\udcff"}, "not UTF-8"),
    ],
)
def test_texts_that_are_none_are_told(settings, tmp_path, texts, message):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        run(settings, tmp_path / "out", text=str(folder))
    assert not (tmp_path / "out").exists()


def test_a_length_that_leaves_nothing_to_predict_is_told(settings, tmp_path):
    with pytest.raises(InputError, match="--length 2 leaves too few tokens of text '.*' to predict one; give more"):
        run(settings, tmp_path / "out", length=2, skip=1)


def test_odd_texts_are_read(settings, tmp_path):
    odd = {"[red]x[&] <b>.txt": "rain", "\x1b[2J.txt": "\x1b[31m rain 7 " * 9, ".hidden": "no", "z.txt": "日本 🙂 " * 9}
    texts = write_texts(tmp_path / "texts", odd)
    (texts / "below").mkdir()
    results, said = run(settings, tmp_path / "out", text=str(texts), controls=())
    assert len(results["texts"]) == 3
    assert "shorter and read whole" in said[0]
    assert "only half is skipped" in said[0]
    assert all("PROPN" not in row["loss_by_tag"] or row["loss_by_tag"]["PROPN"]["tokens"] for row in results["rows"])


def test_a_text_without_names_leaves_their_stratum_out_and_one_text_has_no_interval(settings, tmp_path):
    (tmp_path / "c.txt").write_text("it rained, and then it rained again. " * 9, encoding="utf-8")
    results, _ = run(settings, tmp_path / "out", text=str(tmp_path / "c.txt"), controls=CONTROL_NAMES)
    row = results["rows"][1]
    assert "names" not in row["loss_by_tag"]
    assert "names" not in row["difference_by_tag"]
    assert (row["difference"]["low"], row["difference"]["high"]) == (None, None)


def test_what_is_read_is_all_that_the_tagger_sees(settings, tmp_path, monkeypatch):
    seen = []
    real = module.prepare_texts.__globals__["Annotator"].read
    monkeypatch.setattr(
        module.Annotator, "read", lambda self, text, **more: seen.append(text) or real(self, text, **more)
    )
    (tmp_path / "long.txt").write_text("Ada met Bo. " * 500, encoding="utf-8")
    results, _ = run(settings, tmp_path / "out", text=str(tmp_path / "long.txt"), controls=())
    assert len(seen[0]) < 800
    assert results["texts"][0]["tokens"] == 120
    assert not results["texts"][0]["whole"]


def test_longer_than_the_models_positions_is_an_error(settings, tmp_path):
    with pytest.raises(ModelError, match="--length 300 is more than the 256 tokens"):
        run(settings, tmp_path / "out", length=300)


def test_a_model_that_is_none_of_language_is_told(settings, tmp_path):
    from helpers.tiny_models import tiny_model

    tiny_model("bert", vocab_size=len(tokenizer("bytes")), pad_token_id=0).save_pretrained(tmp_path / "bert")
    tokenizer("bytes").save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError):
        run(settings, tmp_path / "out", model=str(tmp_path / "bert"))


def test_sliding_windows_of_a_model_count(settings, tmp_path):
    save_causal_model(tmp_path / "model", model_type="mistral", sliding_window=16)
    results, _ = run(settings, tmp_path / "out", model=str(tmp_path / "model"), controls=(), length=100)
    full, far = results["rows"]
    tokens = [text["tokens"] for text in results["texts"]]
    wanted = sum(sum(min(place + 1, 16) for place in range(n)) for n in tokens) / sum(n * (n + 1) / 2 for n in tokens)
    assert full["pairs"] == pytest.approx(wanted)
    assert full["cache"] == pytest.approx(15 * len(tokens) / sum(tokens))
    assert far["pairs"] < full["pairs"]


@pytest.mark.parametrize("skip", [500, 120])
def test_skipping_everything_is_an_error(settings, tmp_path, skip):
    with pytest.raises(ExperimentError, match="leaves nothing"):
        run(settings, tmp_path / "out", skip=skip)


def test_the_built_in_chronicles_are_read_where_no_text_is_named(settings, tmp_path):
    results, _ = run(settings, tmp_path / "out", text=None, controls=(), limit=2)
    assert [text["name"] for text in results["texts"]] == ["chronicle-1", "chronicle-2"]
    assert np.isfinite([row["loss"] for row in results["rows"]]).all()
