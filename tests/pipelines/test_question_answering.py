"""Questions answered by the pipeline have the answers by hand, in windows, batches and all kinds of text."""

import copy

import datasets
import pytest
from helpers.lexicon import annotator as lexicon_annotator
from helpers.question_models import CONTEXT, QUESTION, all_answers, question_model
from helpers.tokenizers_for_tests import FAMILIES, tokenizer
from tokenizers.processors import TemplateProcessing
from torch.utils.data import Dataset
from transformers import pipeline

TASK = "guided-question-answering"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model, annotate = question_model()
    model.save_pretrained(folder)
    return pipeline(TASK, model=str(folder)), model, annotate


def same(answers, expected, context):
    """Answers are the best of those by hand, each once, with their characters."""
    best = sorted(expected.values(), reverse=True)[: len(answers)]
    assert [one["score"] for one in answers] == pytest.approx(best, abs=1e-6)
    assert len({(one["start"], one["end"]) for one in answers}) == len(answers)
    for one in answers:
        assert one["score"] == pytest.approx(expected[one["start"], one["end"]], abs=1e-6)
        assert one["answer"] == context[one["start"] : one["end"]] == one["answer"].strip()
    return True


@pytest.mark.parametrize("longest", [1, 3, 15])
def test_an_answer_is_that_by_hand(asked, longest):
    answer, model, annotate = asked
    found = answer(question=QUESTION, context=CONTEXT, max_answer_len=longest)
    assert same([found], all_answers(model, annotate, QUESTION, CONTEXT, length=40, stride=0, longest=longest), CONTEXT)


def test_questions_come_in_lists_batches_and_data_sets(asked):
    class Examples(Dataset):
        def __len__(self):
            return len(examples)

        def __getitem__(self, number):
            return examples[number]

    answer, *_ = asked
    examples = [{"question": QUESTION, "context": CONTEXT * times} for times in (1, 3, 6)]
    alone = [answer(example) for example in examples]
    rows = datasets.Dataset.from_list(examples)
    for given in (examples, tuple(examples), Examples(), rows, iter(examples), (example for example in examples)):
        for found, expected in zip(answer(given, batch_size=4), alone, strict=True):
            assert found == {**expected, "score": pytest.approx(expected["score"], abs=1e-6)}
    assert answer(question=[QUESTION] * 2, context=CONTEXT) == [alone[0]] * 2
    assert answer(question=QUESTION, context=[CONTEXT, CONTEXT * 3]) == alone[:2]


def test_batches_that_are_padded_on_the_left_answer_as_one_text_does():
    own = copy.deepcopy(lexicon_annotator().tokenizer)
    own.padding_side = "left"
    answer = pipeline(TASK, model=question_model(own)[0])
    examples = [{"question": QUESTION, "context": CONTEXT[: 20 * times]} for times in (1, 3, 2)]
    options = {"handle_impossible_answer": True, "top_k": 5}
    for answers, example in zip(answer(examples, batch_size=3, **options), examples, strict=True):
        for found, expected in zip(answers, answer(example, **options), strict=True):
            assert found == {**expected, "score": pytest.approx(expected["score"], abs=1e-6)}


@pytest.mark.parametrize("none", [None, 0])
def test_windows_read_all_of_a_long_context_by_its_own_tags(asked, none):
    answer, model, annotate = asked
    context = CONTEXT * 4
    expected = all_answers(model, annotate, QUESTION, context, length=24, stride=7, none=none)
    options = {"max_seq_len": 24, "doc_stride": 7, "handle_impossible_answer": none is not None}
    assert same(answer(question=QUESTION, context=context, top_k=5, **options), expected, context)
    everything = answer(question=QUESTION, context=context, top_k=10_000, **options)
    assert len(everything) == len(expected)
    assert same(everything, expected, context)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_context_may_fill_its_window_to_the_last_token(asked, more):
    answer, model, annotate = asked
    context = CONTEXT.strip()
    length = len(annotate([QUESTION], [context])["input_ids"][0]) - more
    expected = all_answers(model, annotate, QUESTION, context, length=length, stride=2)
    found = answer(question=QUESTION, context=context, max_seq_len=length, doc_stride=2, top_k=3)
    assert same(found, expected, context)


def test_windows_are_as_long_as_model_and_annotator_read():
    context = CONTEXT * 5
    short = lexicon_annotator().tokenizer
    short.model_max_length = 20
    for own, settings, length in ((short, {}, 20), (None, {"max_length": 60}, 40), (None, {"max_length": 24}, 24)):
        model, annotate = question_model(own, **settings)
        room = length - len(annotate([QUESTION], [""])["input_ids"][0])
        expected = all_answers(model, annotate, QUESTION, context, length=length, stride=room // 2)
        found = pipeline(TASK, model=model)(question=QUESTION, context=context, top_k=10_000)
        assert len(found) == len(expected)
        assert same(found, expected, context)


def test_a_limit_of_the_tokenizer_alone_cuts_nothing_off(monkeypatch):
    monkeypatch.setattr("grammask.pipelines.question_answering.count_positions", lambda _: None)
    short = lexicon_annotator().tokenizer
    short.model_max_length = 20
    model, _ = question_model(short)
    context = (CONTEXT * 5).strip()
    found = pipeline(TASK, model=model)(question=QUESTION, context=context, top_k=10_000, max_answer_len=1)
    assert max(one["end"] for one in found) == len(context)


@pytest.mark.parametrize("kind", FAMILIES)
def test_any_text_is_answered_as_by_hand_each_answer_once(kind):
    model, annotate = question_model(tokenizer(kind), positions=60)
    answer = pipeline(TASK, model=model)
    context = (
        "  Zoë\u2019s\r\ncafé — 3.14 kg… 🙂 \U0001d518 e\u0301tude, well-known.\t" + "\n" * 90 + "Zoë \u00a0 [SEP] ﬁn"
    )
    question = "Who 🙂 [CLS]?"
    options = {"max_seq_len": 52, "doc_stride": 9, "align_to_words": False, "top_k": 10_000}
    for none in (None, 0):
        expected = all_answers(model, annotate, question, context, length=52, stride=9, none=none)
        found = answer(question=question, context=context, handle_impossible_answer=none is not None, **options)
        assert len(found) == len(expected)
        assert same(found, expected, context)


def test_what_stands_for_no_answer_is_never_a_token_of_the_texts():
    own = copy.deepcopy(tokenizer("wordpiece"))
    ids = [(token, own.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    own.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A [SEP] [CLS]", pair="$A [SEP] $B:1 [SEP]:1 [CLS]:1", special_tokens=ids
    )
    model, annotate = question_model(own)
    question, context = "[CLS] who?", "nobody [CLS] complained"
    expected = all_answers(model, annotate, question, context, length=40, stride=0, none=-1)
    found = pipeline(TASK, model=model)(
        question=question, context=context, handle_impossible_answer=True, align_to_words=False, top_k=10_000
    )
    assert len(found) == len(expected)
    assert same(found, expected, context)


def test_words_are_whole_also_where_a_window_cuts_them():
    model, _ = question_model(tokenizer("wordpiece"), positions=60)
    context = "Unbelievably internationalisation nobody letters internationalisation " * 3
    found = pipeline(TASK, model=model)(
        question="Who?", context=context, max_seq_len=14, doc_stride=1, top_k=10_000, max_answer_len=4
    )
    assert {word for one in found for word in one["answer"].split()} == set(context.split())


def test_a_context_without_a_token_has_no_answer():
    answer = pipeline(TASK, model=question_model(tokenizer("wordpiece"))[0])
    nothing = {"start": 0, "end": 0, "answer": ""}
    assert answer(question="Who?", context="\u200b") == {"score": 0.0, **nothing}
    assert answer(question="Who?", context="\u200b", top_k=3) == []
    assert answer(question="Who?", context="\u200b", handle_impossible_answer=True) == {"score": 1.0, **nothing}


def test_a_model_may_answer_tuples():
    model, _ = question_model()
    answer = pipeline(TASK, model=model)
    expected = answer(question=QUESTION, context=CONTEXT)
    model.config.return_dict = False
    assert answer(question=QUESTION, context=CONTEXT) == expected
