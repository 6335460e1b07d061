"""Models of others: loaded whole, or refused in one line, and never with random weights or code of their own."""

import io
import json
import os
import pickle
import sys

import pytest
import torch
from helpers.tiny_models import ARCHITECTURES, tiny_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, BertModel

from grammask.errors import ModelError
from grammask.model.load_weights import load_weights
from grammask.model.model_files import hash_files
from grammask.model.strengths import STRENGTHS

MISFIT = "incomplete, renamed, or of another architecture"


@pytest.fixture
def folder(tmp_path):
    tiny_model("bert").save_pretrained(tmp_path)
    return tmp_path


def set_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def set_weights(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def refuse(folder, match, model_class=AutoModelForSequenceClassification, **kwargs):
    with pytest.raises(ModelError, match=match) as caught:
        load_weights(model_class, folder, **kwargs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_comes_back_whole_and_names_what_is_new(tmp_path, model_type):
    whole = tiny_model(model_type)
    whole.save_pretrained(tmp_path / "whole")
    back = load_weights(type(whole), tmp_path / "whole")
    assert back.new == ()
    for key, tensor in whole.state_dict().items():
        assert torch.equal(back.model.state_dict()[key], tensor), key
    base = load_weights(AutoModel, tmp_path / "whole", new="pooler")
    assert all(".pooler." in f".{key}" for key in base.new)
    if whole.base_model is whole:
        return
    whole.base_model.save_pretrained(tmp_path / "base")
    refuse(tmp_path / "base", MISFIT, type(whole))
    headed = load_weights(type(whole), tmp_path / "base", new="head", num_labels=5)
    assert headed.new
    assert not any(key.startswith(f"{whole.base_model_prefix}.") for key in headed.new)
    assert headed.model.config.num_labels == 5


def test_a_pooler_is_new_where_a_masked_language_model_has_none(tmp_path):
    AutoModelForMaskedLM.from_config(tiny_model("bert").config).save_pretrained(tmp_path)
    refuse(tmp_path, "lack pooler.dense.bias, pooler.dense.weight", AutoModel)
    pooler = ("pooler.dense.bias", "pooler.dense.weight")
    assert load_weights(AutoModel, tmp_path, new="pooler").new == pooler
    headed = load_weights(AutoModelForSequenceClassification, tmp_path, new="head")
    assert headed.new == (*(f"bert.{key}" for key in pooler), "classifier.bias", "classifier.weight")


def test_a_head_of_other_classes_is_new_for_training_only(folder):
    refuse(folder, r"hold classifier.* of shape \(3.* where the model has \(5", num_labels=5)
    headed = load_weights(AutoModelForSequenceClassification, folder, new="head", num_labels=5)
    assert headed.new == ("classifier.bias", "classifier.weight")
    assert load_weights(AutoModelForSequenceClassification, folder, num_labels=5, ignore_mismatched_sizes=True).new == (
        "classifier.bias",
        "classifier.weight",
    )


@pytest.mark.parametrize(
    ("change", "match"),
    {
        "empty": (lambda tensors: {}, "lack"),
        "renamed": (lambda tensors: {f"module.{key}": value for key, value in tensors.items()}, "lack"),
        "a layer missing": (lambda tensors: {k: v for k, v in tensors.items() if "layer.1." not in k}, "layer.1."),
        "no head": (lambda tensors: {k: v for k, v in tensors.items() if "classifier" not in k}, "lack classifier"),
        "more in the base": (lambda tensors: tensors | {"bert.gate.weight": torch.ones(2)}, "bert.gate.weight, for"),
        "a layer more": (
            lambda tensors: tensors | {k.replace("layer.1.", "layer.3."): v.clone() for k, v in tensors.items()},
            "encoder.layer.3.* and 14 more, for which it has no place",
        ),
    }.values(),
)
def test_weights_that_do_not_fit_are_refused(folder, change, match):
    set_weights(folder, change)
    refuse(folder, f"{MISFIT}.*{match}")


def test_weights_that_are_no_numbers_are_refused(folder):
    set_weights(folder, lambda tensors: {key: value * float("nan") for key, value in tensors.items()})
    refuse(folder, "holds NaN")
    set_weights(folder, lambda tensors: {key: value.bool() for key, value in tensors.items()})
    refuse(folder, "as BOOL, which is no kind of float")


def test_learned_strengths_and_other_heads_are_no_fault(folder):
    more = {f"bert.{STRENGTHS}": torch.zeros(3), "qa_outputs.weight": torch.zeros(3)}
    set_weights(folder, lambda tensors: tensors | more)
    assert load_weights(AutoModelForSequenceClassification, folder).new == ()
    assert load_weights(BertModel, folder).new == ()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, but must be from 0 to 1,000"),
        ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ({"num_hidden_layers": 0}, "without layers"),
        ({"num_labels": 10**9}, "num_labels is 1000000000"),
        ({"num_hidden_layers": 2}, MISFIT),
        ({"num_hidden_layers": 4}, MISFIT),
        ({"model_type": "roberta"}, MISFIT),
        ({"model_type": "nonsense"}, "cannot be used"),
        ({"vocab_size": 121}, r"word_embeddings.weight of shape \(120, 32\) where the model has \(121, 32\)"),
        ({"hidden_size": "a"}, "hidden_size"),
        ({"hidden_size": 10**9}, "they don't belong together"),
        ({"max_position_embeddings": 10**11}, "they don't belong together"),
        ({"hidden_size": 10**30}, "cannot be loaded"),
        ({"num_attention_heads": 0}, "cannot be loaded"),
        ({"hidden_act": "none"}, "KeyError 'none'"),
        ({"quantization_config": 5}, "cannot be used"),
        ({"attn_implementation": "someone/code"}, "asks for code from elsewhere"),
    ],
    ids=str,
)
def test_configs_of_no_sense_are_refused(folder, changes, match):
    set_config(folder, **changes)
    refuse(folder, match, new="head")


DEEP = b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
DIGITS = b'{"hidden_size":' + b"9" * 5_000 + b"}"
DAMAGED = {
    "config.json": [b"", b"{", b"[]", DEEP, DIGITS, b"\xff\xfe", b"{}"],
    "model.safetensors": [b"", b"\xff" * 1000, b"<html>", (10**4).to_bytes(8, "little") + b"[" * 10**4],
    "pytorch_model.bin": [b"", b"123", pickle.dumps([1])],
    "model.safetensors.index.json": [
        b"{", b"[]", DEEP, b'{"weight_map": 5, "metadata": {}}', b'{"weight_map": {"a": "b.safetensors"}}',
        b'{"metadata": {}, "weight_map": {"a": "b.safetensors"}}',
        b'{"metadata": {}, "weight_map": {"a": "../model.safetensors"}}',
    ],
}  # fmt: skip


@pytest.mark.parametrize(("file", "content"), [(file, content) for file in DAMAGED for content in DAMAGED[file]])
def test_damaged_files_are_refused_in_one_line(folder, file, content):
    if file != "config.json":
        (folder / "model.safetensors").unlink()
    (folder / file).write_bytes(content)
    refuse(folder, "model|config.json")


def test_truncated_and_missing_weights_are_refused(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1000])
    refuse(folder, "not fully covered")
    (folder / "model.safetensors").unlink()
    refuse(folder, "has no weights")
    (folder / "config.json").unlink()
    refuse(folder, "holds no config.json")
    refuse(folder / "nowhere", "no model")


def test_sharded_weights_are_whole_or_the_missing_part_is_named(folder):
    whole = tiny_model("bert")
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="40KB")
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1
    assert torch.equal(
        load_weights(AutoModelForSequenceClassification, folder).model.classifier.weight, whole.classifier.weight
    )
    parts[1].unlink()
    refuse(folder, f"{parts[1].name} is missing")


class Payload:
    """What a malicious pickle holds: something to run."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_no_code_of_a_model_is_run(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    mark = folder / "run"
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({"x": Payload(f"touch {mark}")}, folder / "pytorch_model.bin")
    refuse(folder, "other things than tensors, which are never loaded")
    torch.save(weights, folder / "pytorch_model.bin")
    assert load_weights(AutoModelForSequenceClassification, folder).new == ()
    for given in ({"trust_remote_code": True}, {"weights_only": False}):
        refuse(folder, "runs no code", **given)
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')", encoding="utf-8")
    set_config(folder, auto_map={"AutoModelForSequenceClassification": "own.Model"})
    refuse(folder, "brings code of its own")
    set_config(folder, model_type="own", auto_map={"AutoConfig": "own.Config"})
    refuse(folder, "brings code of its own")
    assert not mark.exists()


def test_an_adapter_is_no_model(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}', encoding="utf-8")
    refuse(folder, "holds an adapter")


def test_arguments_reach_the_model_and_every_read(tmp_path):
    tiny_model("bert").save_pretrained(tmp_path / "inner")
    loaded = load_weights(
        AutoModelForSequenceClassification, tmp_path, subfolder="inner", dtype=torch.bfloat16,
        output_loading_info=True, attn_implementation="eager",
    )  # fmt: skip
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.model.config._attn_implementation == "eager"
    assert not loaded.info["missing_keys"]


def test_checking_draws_no_random_number(folder):
    def head():
        torch.manual_seed(3)
        return load_weights(AutoModelForSequenceClassification, folder, new="head", num_labels=2).model

    torch.manual_seed(3)
    stock = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, ignore_mismatched_sizes=True)
    assert torch.equal(head().classifier.weight, stock.classifier.weight)


def test_the_hash_of_a_models_files_is_of_every_part_and_of_its_names(tmp_path):
    tiny_model("bert").save_pretrained(tmp_path, max_shard_size="20kB")
    parts = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(parts) > 1
    before = hash_files(str(tmp_path), ["vocab.txt"])
    assert hash_files(str(tmp_path), ["vocab.txt", "config.json"]) == before
    seen = {before}
    for path in (*parts, tmp_path / "config.json", tmp_path / "model.safetensors.index.json"):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if path in parts else content + b" ")
        seen.add(hash_files(str(tmp_path), ["vocab.txt"]))
        path.write_bytes(content)
    (tmp_path / "vocab.txt").write_bytes(b"")
    seen.add(hash_files(str(tmp_path), ["vocab.txt"]))
    assert len(seen) == len(parts) + 4
