"""A guided model's forward names the annotation among its inputs, so that a Trainer keeps its columns."""

import copy
import inspect
import pickle

import pytest
import torch
from datasets import Dataset
from helpers.lexicon import annotator, sentences
from transformers import BertConfig, BertForSequenceClassification, BertModel, Trainer, TrainingArguments

import grammask

NAMES = {"tag_ids", "word_ids", "sentence_ids"}
SIZES = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.mark.parametrize("model_class", [BertModel, BertForSequenceClassification])
def test_the_forward_of_a_guided_model_names_them_and_no_class_does(model_class):
    torch.manual_seed(0)
    model = model_class(BertConfig(**SIZES)).eval()
    own = inspect.signature(model.forward)
    grammask.attach(model, "paper-sinks")
    assert set(inspect.signature(model.forward).parameters) == {*own.parameters, *NAMES}
    assert set(inspect.signature(model_class.forward).parameters) == {"self", *own.parameters}
    inputs = annotator()("the kind cat sees a dull film .", return_tensors="pt")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own bytes
        torch.testing.assert_close(other(**inputs)[0], model(**inputs)[0])
        with torch.no_grad():
            next(other.parameters()).add_(1)
        assert not torch.equal(other(**inputs)[0], model(**inputs)[0])
    grammask.detach(model)
    assert inspect.signature(model.forward) == own
    assert "forward" not in vars(model)


def test_a_trainer_keeps_the_tags_by_itself(tmp_path):
    torch.manual_seed(0)
    annotate, (texts, labels) = annotator(), sentences(8, seed=0)
    columns = {**annotate(texts), "labels": labels, "text": texts}
    model = grammask.attach(BertForSequenceClassification(BertConfig(**SIZES)), "paper-sinks", annotator=annotate)
    arguments = TrainingArguments(str(tmp_path), max_steps=2, use_cpu=True, report_to=[], disable_tqdm=True)
    trainer = Trainer(
        model, arguments, train_dataset=Dataset.from_dict(columns), data_collator=grammask.Collator(annotate.tokenizer)
    )
    assert trainer.train().global_step == 2
    trainer.save_model(tmp_path / "saved")
    assert (tmp_path / "saved" / "grammask_annotator.json").exists()
