"""Questions answered by the pipeline have the answers by hand, in windows and batches; what is no question is named."""

import pytest
import torch
from helpers.lexicon import annotator as lexicon_annotator
from helpers.tokenizers_for_tests import tokenizer
from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification, pipeline

import grammask
import grammask.pipelines
from grammask.errors import InputError, ModelError

CONTEXT = "a cruel king likes the town . now the girl often calls a vile cat . "
QUESTION = "the kind cat ?"
SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def saved(folder, own=None, model_class=BertForQuestionAnswering):
    torch.manual_seed(0)
    annotate = grammask.Annotator(own or lexicon_annotator().tokenizer, "en_core_web_sm", cache=False)
    config = BertConfig(**SIZES, vocab_size=len(annotate.tokenizer), initializer_range=0.5, max_position_embeddings=40)
    model = grammask.attach(model_class(config).eval(), "paper-sinks", annotator=annotate)
    model.save_pretrained(folder)
    return model, annotate


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model, annotate = saved(folder)
    return pipeline("guided-question-answering", model=str(folder)), model, annotate


def by_hand(model, annotate, question, context, longest=15):
    """The best answer in a context that fits: its score and its characters."""
    made = annotate([question], [context], return_offsets_mapping=True, return_tensors="pt")
    places, sides = made.pop("offset_mapping")[0].tolist(), made.sequence_ids(0)
    with torch.no_grad():
        found = model(**made)
    inside = [number for number, side in enumerate(sides) if side == 1]
    starts, ends = (side[0, inside].softmax(0) for side in (found.start_logits, found.end_logits))
    scores = torch.outer(starts, ends).triu().tril(longest - 1)
    first, last = divmod(int(scores.argmax()), len(inside))
    return float(scores.max()), places[inside[first]][0], places[inside[last]][1]


def test_an_answer_is_that_by_hand(asked):
    answer, model, annotate = asked
    found = answer(question=QUESTION, context=CONTEXT)
    score, start, end = by_hand(model, annotate, QUESTION, CONTEXT)
    assert found["score"] == pytest.approx(score, abs=1e-6)
    assert found == {"score": found["score"], "start": start, "end": end, "answer": CONTEXT[start:end]}
    for longest in (1, 3):
        found = answer(question=QUESTION, context=CONTEXT, max_answer_len=longest)
        assert (found["start"], found["end"]) == by_hand(model, annotate, QUESTION, CONTEXT, longest)[1:]


def test_questions_come_in_lists_batches_and_generators(asked):
    answer, *_ = asked
    examples = [{"question": QUESTION, "context": CONTEXT * times} for times in (1, 3, 6)]
    alone = [answer(example) for example in examples]
    for given in (examples, tuple(examples), (example for example in examples)):
        for batch_size in (1, 4):
            for found, expected in zip(answer(given, batch_size=batch_size), alone, strict=True):
                assert found == {**expected, "score": pytest.approx(expected["score"], abs=1e-6)}
            if not isinstance(given, list | tuple):
                break
    assert answer(question=[QUESTION] * 2, context=CONTEXT) == [alone[0]] * 2
    assert answer(question=QUESTION, context=[CONTEXT, CONTEXT * 3]) == alone[:2]


def test_windows_read_all_of_a_long_context_by_its_own_tags(asked):
    answer, model, annotate = asked
    context = CONTEXT * 4
    windows = annotate(
        [QUESTION], [context], truncation="only_second", max_length=24, stride=7, return_overflowing_tokens=True,
        return_offsets_mapping=True, padding=True, return_tensors="pt",
    )  # fmt: skip
    windows.pop("overflow_to_sample_mapping")
    offsets = windows.pop("offset_mapping")
    assert len(windows["input_ids"]) > 3
    with torch.no_grad():
        said = model(**windows)
    found = {}
    for number, places in enumerate(offsets.tolist()):
        inside = [place for place, side in enumerate(windows.sequence_ids(number)) if side == 1]
        starts, ends = (side[number, inside].softmax(0) for side in (said.start_logits, said.end_logits))
        for first in range(len(inside)):
            for last in range(first, min(first + 15, len(inside))):
                span = (places[inside[first]][0], places[inside[last]][1])
                found[span] = max(found.get(span, 0), float(starts[first] * ends[last]))
    ranked = sorted(found.items(), key=lambda item: -item[1])[:5]
    answers = answer(question=QUESTION, context=context, max_seq_len=24, doc_stride=7, top_k=5)
    assert [(one["start"], one["end"]) for one in answers] == [span for span, _ in ranked]
    assert [one["score"] for one in answers] == pytest.approx([score for _, score in ranked], abs=1e-6)


def test_no_answer_is_one_more(asked):
    answer, model, annotate = asked
    made = annotate([QUESTION], [CONTEXT], return_tensors="pt")
    inside = [0, *(place for place, side in enumerate(made.sequence_ids(0)) if side == 1)]
    with torch.no_grad():
        said = model(**made)
    none = float(said.start_logits[0, inside].softmax(0)[0] * said.end_logits[0, inside].softmax(0)[0])
    answers = answer(question=QUESTION, context=CONTEXT, handle_impossible_answer=True, top_k=1000)
    (found,) = [one for one in answers if not one["answer"]]
    assert found == {"score": pytest.approx(none, abs=1e-6), "start": 0, "end": 0, "answer": ""}
    assert [one["score"] for one in answers] == sorted((one["score"] for one in answers), reverse=True)


@pytest.mark.parametrize("kind", ["wordpiece", "bytes"])
def test_answers_are_whole_words_of_any_text(kind, tmp_path):
    own = tokenizer(kind)
    if own.cls_token is None:
        own.add_special_tokens({"cls_token": "<s>"})
    saved(tmp_path, own)
    answer = pipeline("guided-question-answering", model=str(tmp_path))
    context = "  Zoë\u2019s\r\ncafé — 3.14 kg… 🙂 \U0001d518 e\u0301tude, well-known.\t" * 2
    for align in (True, False):
        for one in answer(question="Who 🙂?", context=context, top_k=40, align_to_words=align):
            assert one["answer"] == context[one["start"] : one["end"]] == one["answer"].strip()
            assert one["answer"]
    assert answer(question="Who?", context="\u200b")["answer"] in ("", "\u200b")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "give question and context"),
        ({"inputs": {"question": "a", "context": "b"}, "question": "a"}, "give question and context"),
        ({"question": "", "context": "a"}, "a question must be a text that isn't empty, but is ''"),
        ({"question": "a", "context": " \n"}, "a context must be a text that isn't empty"),
        ({"question": "a", "context": 3}, "a context must be a text that isn't empty, but is 3"),
        ({"question": ["a", "b"], "context": ["c"] * 3}, "2 questions but 3 contexts"),
        ({"inputs": "x"}, "takes questions with their contexts, but got 'x'"),
        ({"inputs": [{"question": "a"}]}, 'must be {"question": ..., "context": ...}'),
        ({"question": "a", "context": "b", "top_k": 0}, "top_k must be a whole number from 1, but is 0"),
        ({"question": "a", "context": "b", "max_answer_len": True}, "max_answer_len must be a whole number"),
        ({"question": "a", "context": "b", "align_to_words": "no"}, "align_to_words must be True or False"),
        ({"question": "a", "context": "b", "padding": True}, "doesn't take padding; it takes top_k"),
        ({"question": "a " * 60, "context": "b"}, "the question has 63 tokens .* but a window 40"),
        ({"question": "a", "context": "b", "max_seq_len": 10, "doc_stride": 6}, "room for 6 of the context"),
        ({"question": "a", "context": "b", "max_seq_len": 50}, "max_seq_len is 50, but the model reads 40"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_named(asked, given, says):
    with pytest.raises(InputError, match=says):
        asked[0](**given)


def test_a_model_that_answers_nothing_is_named(tmp_path):
    saved(tmp_path, model_class=BertForSequenceClassification)
    answer = pipeline("guided-question-answering", model=str(tmp_path))
    with pytest.raises(ModelError, match="BertForSequenceClassification doesn't say where answers begin"):
        answer(question=QUESTION, context="a cat")
