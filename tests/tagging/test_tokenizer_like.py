"""The Annotator where a tokenizer is asked for: padding, transformers' collators, attributes, copies."""

import copy
import pickle

import numpy as np
import pytest
import torch
from helpers.tiny_models import tiny_model
from helpers.tokenizers_for_tests import PatternTagger, tokenizer
from transformers import (
    BatchEncoding,
    DataCollatorForLanguageModeling,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

import grammask
from grammask.errors import AlignmentError, InputError
from grammask.grammar.tags import PAD
from grammask.tagging.coverage import Coverage

TEXTS = ["The old sailor doesn't read.", "He nodded.", "Naïve café owners re-opened it; nobody complained!"]
TAGS = {"tag_ids": PAD, "word_ids": -1, "sentence_ids": -1}


def annotator(side="right"):
    made = copy.deepcopy(tokenizer("wordpiece"))
    made.add_special_tokens({"mask_token": "[MASK]"})
    made.padding_side = side
    return grammask.Annotator(made, PatternTagger(), cache=False)


def features(annotate, **options):
    batch = annotate(TEXTS, **options)
    return [{name: batch[name][row] for name in batch} for row in range(len(TEXTS))]


def without_tags(feature):
    return {name: value for name, value in feature.items() if name not in TAGS}


def check_tags(batch, rows, side):
    """Compare the tags of a batch with those of its rows, padded by hand."""
    size = np.asarray(batch["input_ids"]).shape[1]
    for name, padding in TAGS.items():
        for found, row in zip(np.asarray(batch[name]), rows, strict=True):
            rest = [padding] * (size - len(row[name]))
            assert found.tolist() == ([*rest, *row[name]] if side == "left" else [*row[name], *rest])


PADDINGS = [
    {},
    {"return_tensors": "pt"},
    {"return_tensors": "np", "pad_to_multiple_of": 8},
    {"padding": "max_length", "max_length": 50, "return_tensors": "pt"},
    {"padding_side": "left", "return_tensors": "np"},
]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("options", PADDINGS, ids=str)
@pytest.mark.parametrize("form", ["list", "dict", "encoding", "arrays", "single batches"])
def test_pad_is_the_tokenizers_and_pads_tags(side, options, form):
    annotate = annotator(side)
    rows = features(annotate, return_special_tokens_mask=True)
    given = {
        "list": rows,
        "dict": {name: [row[name] for row in rows] for name in rows[0]},
        "encoding": BatchEncoding({name: [row[name] for row in rows] for name in rows[0]}),
        "arrays": [{name: np.array(value) for name, value in row.items()} for row in rows],
        "single batches": [annotate(text, return_special_tokens_mask=True) for text in TEXTS],
    }[form]
    found = annotate.pad(given, **options)
    stock_given = [without_tags(row) for row in (given if form == "arrays" else rows)]
    stock = annotate.tokenizer.pad(stock_given, **options)
    assert found.keys() == stock.keys() | TAGS.keys()
    for name in stock:
        assert type(found[name]) is type(stock[name])
        assert np.array_equal(np.asarray(found[name]), np.asarray(stock[name]))
    assert type(found["tag_ids"]) is type(stock["input_ids"])
    check_tags(found, rows, options.get("padding_side", side))


def test_one_text_is_padded_alone():
    annotate = annotator()
    one = annotate(text=TEXTS[0])
    size = len(one["tag_ids"])
    found = annotate.pad(one, padding="max_length", max_length=size + 2)
    assert found["tag_ids"] == [*one["tag_ids"], PAD, PAD]
    assert annotate.pad(one, padding=False)["word_ids"] == one["word_ids"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "the list is empty"),
        ([{"input_ids": [1, 2]}], "comes without tag_ids; annotate it"),
        ([1], "must be annotated texts"),
        ([{"input_ids": [1, 2], "tag_ids": [1], "word_ids": [0, 0], "sentence_ids": [0, 0]}], "tag_ids has"),
        ([{"input_ids": [1]}, {"input_ids": [1], "labels": 1}], "don't have the same columns: labels"),
    ],
)
def test_what_cannot_be_padded_is_one_clear_line(given, message):
    with pytest.raises(InputError, match=message):
        annotator().pad(given)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["pt", "np"])
def test_stock_collators_of_padding_and_token_classification(side, kind):
    annotate = annotator(side)
    rows = features(annotate)
    for number, row in enumerate(rows):
        row["label"] = number
    batch = DataCollatorWithPadding(annotate, return_tensors=kind, pad_to_multiple_of=4)(rows)
    stock = DataCollatorWithPadding(annotate.tokenizer, return_tensors=kind, pad_to_multiple_of=4)(
        [without_tags(row) for row in rows]
    )
    assert all(np.array_equal(np.asarray(batch[name]), np.asarray(stock[name])) for name in stock)
    check_tags(batch, rows, side)
    rows = [{**row, "labels": list(range(len(row["input_ids"])))} for row in features(annotate)]
    batch = DataCollatorForTokenClassification(annotate, return_tensors=kind)(rows)
    stock = DataCollatorForTokenClassification(annotate.tokenizer, return_tensors=kind)(
        [without_tags(row) for row in rows]
    )
    assert all(np.array_equal(np.asarray(batch[name]), np.asarray(stock[name])) for name in stock)
    check_tags(batch, rows, side)


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize("whole_words", [False, True])
def test_masked_tokens_keep_the_tag_of_their_word(kind, whole_words):
    annotate = annotator()
    rows = features(annotate, return_offsets_mapping=whole_words, return_special_tokens_mask=whole_words,
                    **({"padding": True} if whole_words else {}))  # fmt: skip
    options = {"mlm_probability": 0.5, "seed": 3, "return_tensors": kind, "whole_word_mask": whole_words,
               "mask_replace_prob": 1.0, "random_replace_prob": 0.0}  # fmt: skip
    batch = DataCollatorForLanguageModeling(annotate, **options)(rows)
    stock = DataCollatorForLanguageModeling(annotate.tokenizer, **options)([without_tags(row) for row in rows])
    assert all(np.array_equal(np.asarray(batch[name]), np.asarray(stock[name])) for name in stock)
    assert (np.asarray(batch["input_ids"]) == annotate.mask_token_id).any()
    check_tags(batch, rows, "right")


def test_causal_language_models_and_the_default_collator():
    annotate = annotator()
    rows = features(annotate)
    batch = DataCollatorForLanguageModeling(annotate, mlm=False)(rows)
    padding = batch["attention_mask"] == 0
    assert (batch["labels"][padding] == -100).all()
    assert torch.equal(batch["labels"][~padding], batch["input_ids"][~padding])
    check_tags(batch, rows, "right")
    rows = features(annotate, padding=True)
    batch = default_data_collator(rows)
    check_tags(batch, rows, "right")
    assert batch["tag_ids"].shape == batch["input_ids"].shape


def test_what_is_the_tokenizers_is_answered_by_it():
    annotate = annotator()
    made = annotate.tokenizer
    ids = annotate(text=TEXTS[0])["input_ids"]
    assert isinstance(annotate, PreTrainedTokenizerBase)
    assert isinstance(annotate, grammask.Annotator)
    assert len(annotate) == len(made)
    assert annotate.model_input_names == [*made.model_input_names, *TAGS]
    for name in ("pad_token_id", "mask_token_id", "all_special_ids", "padding_side", "name_or_path", "is_fast",
                 "model_max_length", "truncation_side", "vocab_size"):  # fmt: skip
        assert getattr(annotate, name) == getattr(made, name)
    assert annotate.decode(ids, skip_special_tokens=True) == made.decode(ids, skip_special_tokens=True)
    assert annotate.batch_decode([ids]) == made.batch_decode([ids])
    assert annotate.convert_ids_to_tokens(ids) == made.convert_ids_to_tokens(ids)
    assert not hasattr(annotate, "no_such_thing")
    assert not hasattr(annotate, "__fspath__")


def test_what_is_set_is_set_where_it_is_read():
    annotate = annotator()
    annotate.padding_side = "left"
    annotate.pad_token = annotate.sep_token
    annotate.model_max_length = 7
    assert annotate.tokenizer.padding_side == "left"
    assert annotate.tokenizer.pad_token_id == annotate.sep_token_id
    assert max(map(len, annotate(TEXTS)["input_ids"])) == 7
    annotate.note = "mine"
    annotate.coverage = Coverage()
    assert annotate.note == "mine"
    assert not hasattr(annotate.tokenizer, "note")


def test_an_annotator_is_no_tokenizer_of_another_and_makes_a_collator():
    annotate = annotator()
    with pytest.raises(AlignmentError, match="is an Annotator already"):
        grammask.Annotator(annotate)
    rows = features(annotate)
    check_tags(grammask.Collator(annotate)(rows), rows, "right")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])  # noqa: S301 - our own
def test_copies_answer_the_same(copied):
    annotate = annotator("left")
    rows = annotate(TEXTS, return_tensors="pt")
    other = copied(annotate)
    assert type(other) is grammask.Annotator
    found = other(TEXTS, return_tensors="pt")
    assert all(torch.equal(found[name], rows[name]) for name in rows)
    assert (other.tokenizer is annotate.tokenizer) == (copied is copy.copy)
    if copied is copy.deepcopy:
        other.padding_side = "right"
        assert annotate.padding_side == "left"


def test_a_trainer_takes_it_for_a_tokenizer_and_saves_it(tmp_path):
    annotate = annotator()
    rows = [{**row, "labels": number % 2} for number, row in enumerate(features(annotate))]
    model = grammask.attach(tiny_model("bert", vocab_size=len(annotate)), grammar="paper-sinks", strategy="hard")
    before = [parameter.clone() for parameter in model.parameters()]
    arguments = TrainingArguments(
        str(tmp_path / "run"), max_steps=2, per_device_train_batch_size=2, report_to=[], use_cpu=True,
        disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, processing_class=annotate)
    trainer.train()
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    trainer.save_model(str(tmp_path / "saved"))
    again = grammask.Annotator.from_pretrained(tmp_path / "saved", tagger=PatternTagger(), cache=False)
    assert again(TEXTS).data == annotate(TEXTS).data
