"""What is no question, no option, or no model that answers is named in one line."""

import pytest
import torch
from helpers.question_models import CONTEXT, QUESTION, question_model
from helpers.tokenizers_for_tests import tokenizer
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast, pipeline

from grammask.errors import InputError, ModelError

TASK = "guided-question-answering"


@pytest.fixture(scope="module")
def answer():
    return pipeline(TASK, model=question_model()[0])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "give question and context"),
        ({"inputs": {"question": "a", "context": "b"}, "question": "a"}, "give question and context"),
        ({"question": "", "context": "a"}, "a question must be a text that isn't empty, but is ''"),
        ({"question": "a", "context": " \n"}, "a context must be a text that isn't empty"),
        ({"question": "a", "context": 3}, "a context must be a text that isn't empty, but is 3"),
        ({"question": "a"}, "a context must be a text that isn't empty, but is None"),
        ({"question": "a", "context": "b \ud800"}, "half a character"),
        ({"question": ["a", "b"], "context": ["c"] * 3}, "2 questions but 3 contexts"),
        ({"question": [], "context": "c"}, "no question to answer: the list is empty"),
        ({"inputs": []}, "no question to answer: the list is empty"),
        ({"inputs": "x"}, "takes questions with their contexts, but got 'x'"),
        ({"inputs": b"x"}, "takes questions with their contexts, but got b'x'"),
        ({"inputs": 3}, "takes questions with their contexts, but got 3"),
        ({"inputs": [{"question": "a"}]}, 'must be {"question": ..., "context": ...}'),
        ({"inputs": [{"question": "a", "context": "b", "id": 1}]}, 'must be {"question": ..., "context": ...}'),
        ({"question": "a", "context": "b", "top_k": 0}, "top_k must be a whole number from 1, but is 0"),
        ({"question": "a", "context": "b", "max_answer_len": 0}, "max_answer_len must be a whole number from 1"),
        ({"question": "a", "context": "b", "max_answer_len": True}, "max_answer_len must be a whole number"),
        ({"question": "a", "context": "b", "doc_stride": -1}, "doc_stride must be a whole number from 0, but is -1"),
        ({"question": "a", "context": "b", "align_to_words": "no"}, "align_to_words must be True or False"),
        ({"question": "a", "context": "b", "padding": True}, "doesn't take padding; it takes top_k"),
        ({"question": "a " * 60, "context": "b"}, "the question has 63 tokens .* but a window 40"),
        ({"question": "a", "context": "b", "max_seq_len": 10, "doc_stride": 6}, "room for 6 of the context"),
        ({"question": "a", "context": "b", "max_seq_len": 10, "doc_stride": 10}, "room for 6 of .* doc_stride is 10"),
        ({"question": "a", "context": "b", "max_seq_len": 50}, "max_seq_len is 50, but the model reads 40"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_named(answer, given, says):
    with pytest.raises(InputError, match=says) as error:
        answer(**given)
    assert "\n" not in str(error.value)


def test_wrong_examples_of_generators_and_wrong_settings_are_named(answer):
    with pytest.raises(InputError, match='must be {"question": ..., "context": ...}, but is 3'):
        list(answer(number for number in [3]))
    with pytest.raises(InputError, match="top_k must be a whole number from 1, but is 0"):
        pipeline(TASK, model=answer.model, top_k=0)


def test_windows_need_a_length(monkeypatch):
    monkeypatch.setattr("grammask.pipelines.question_answering.count_positions", lambda _: None)
    answer = pipeline(TASK, model=question_model(tokenizer("wordpiece"))[0])  # its tokenizer has no limit either
    with pytest.raises(InputError, match="texts of any length; give max_seq_len too"):
        answer(question=QUESTION, context=CONTEXT, doc_stride=3)
    assert answer(question=QUESTION, context="a cat", doc_stride=3, max_seq_len=40)["answer"]


def test_a_model_that_answers_nothing_is_named():
    answer = pipeline(TASK, model=question_model(model_class=BertForSequenceClassification)[0])
    with pytest.raises(ModelError, match="BertForSequenceClassification doesn't say where answers begin"):
        answer(question=QUESTION, context="a cat")


def test_a_model_whose_scores_are_no_numbers_is_named():
    model, _ = question_model()
    with torch.no_grad():
        model.qa_outputs.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="score of where an answer stands is nan"):
        pipeline(TASK, model=model)(question=QUESTION, context=CONTEXT)


def test_no_answer_needs_a_token_that_stands_for_it():
    made = tokenizer("wordpiece").backend_tokenizer
    own = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", sep_token="[SEP]")
    answer = pipeline(TASK, model=question_model(own)[0])
    with pytest.raises(ModelError, match=r"needs a tokenizer with a \[CLS\] token"):
        answer(question="who", context="a cat", handle_impossible_answer=True)
