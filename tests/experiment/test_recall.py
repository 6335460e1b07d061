"""Facts far back: where they are put, and that a method's answers are those of one pass over the whole text."""

import json
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from helpers.other_device import other_device
from helpers.tokenizers_for_tests import PatternTagger, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import grammask
from grammask.data.draw_facts import KINDS, draw_facts
from grammask.data.fact_lists import FIRST_NAMES, LAST_NAMES, THINGS
from grammask.data.fact_wishes import Wish
from grammask.data.insert_facts import insert_facts
from grammask.data.read_documents import Document
from grammask.errors import ExperimentError, InputError, ModelError
from grammask.experiment.kept_keys import heads_of
from grammask.experiment.recall.cache_share import fit_window, kept_share
from grammask.experiment.recall.measure_recall import measure_recall, plan_recall
from grammask.experiment.recall.methods import FullMethod, GrammarMethod, Reading
from grammask.experiment.recall.passages import join_passages
from grammask.experiment.recall.peers import presses
from grammask.experiment.recall.peers.peer_methods import PressMethod, peer_methods
from grammask.experiment.recall.recall_settings import DISTANCES, PEERS, RecallSettings, fitting_distances
from grammask.experiment.recall.score import score_logits
from grammask.experiment.recall.summary import summarise_recall
from grammask.experiment.recall.tasks import make_task
from grammask.grammar.file import load_grammar
from grammask.grammar.rules import Reach

SENTENCE = "The old sailor reads letters that nobody had written to him. "
TEXT = SENTENCE * 60
SMALL = RecallSettings(length=900, distances=(100, 400), distractors=2)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=1024, initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def annotate() -> grammask.Annotator:
    return grammask.Annotator(tokenizer("bytes"), PatternTagger(), cache=False)


def quiet(parts, description, length):
    return parts


class Memory(dict):
    """A store that forgets."""

    def put(self, key, record):
        self[key] = json.loads(json.dumps(record))


@pytest.fixture(scope="module")
def task(annotate):
    return make_task(annotate, Document("a", TEXT), SMALL, 0)


def last_logits(model, whole, scored, mask=None, **annotation):
    """Return the logits of the last tokens of a passage, from one pass without a cache."""
    given = {} if mask is None else {"attention_mask": mask[None, None]}
    with torch.no_grad():
        ids = whole.inputs["input_ids"][:, :-1]
        return model(input_ids=ids, **given, **annotation, use_cache=False).logits[0, -scored:]


def same(scores, logits, question):
    tokens = question.passage.inputs["input_ids"][0, -question.scored :]
    losses = -logits.log_softmax(-1)[torch.arange(len(tokens)), tokens]
    torch.testing.assert_close(scores.losses, losses, atol=1e-4, rtol=1e-4)
    assert torch.equal(scores.right, logits.argmax(-1) == tokens)


def test_an_answer_is_right_where_its_token_is_the_likeliest():
    scores = score_logits(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), torch.tensor([1, 2]))
    assert scores.right.tolist() == [True, False]
    assert scores.losses[0] < 1 < scores.losses[1]


class TestFacts:
    @given(st.integers(0, 1000), st.lists(st.sampled_from(KINDS), min_size=1, max_size=40))
    def test_no_two_share_a_subject_or_an_answer(self, seed, kinds):
        facts = draw_facts(kinds, np.random.default_rng(seed))
        assert [fact.kind for fact in facts] == kinds
        named = [
            word
            for fact in facts
            for word in fact.sentence.strip(".").split()
            if word in FIRST_NAMES + LAST_NAMES + THINGS
        ]
        assert len({*named}) == len(named) >= 2 * len(facts)
        assert len({fact.answer for fact in facts}) == len(facts)
        for fact in facts:
            assert fact.sentence == f"{fact.question} {fact.answer}."

    @given(st.integers(0, 1000))
    def test_dates_of_a_text_differ_in_month_and_day(self, seed):
        answers = [fact.answer for fact in draw_facts(["date"] * 12, np.random.default_rng(seed))]
        months, days = zip(*(answer.split() for answer in answers), strict=True)
        assert len({*months}) == len({*days}) == 12

    def test_a_seed_draws_the_same(self):
        drawn = [draw_facts(KINDS, np.random.default_rng(seed)) for seed in (1, 1, 2)]
        assert drawn[0] == drawn[1] != drawn[2]

    def test_there_are_people_for_so_many(self):
        with pytest.raises(ExperimentError, match="41 facts in one text, but there are people for 40"):
            draw_facts(["code"] * 41, np.random.default_rng(0))


# Texts with and without sentences, on one line or several, of letters that take several tokens.
PIECES = st.sampled_from(
    ["He came. ", "Why? ", "word ", "naïve café ", "\n\n", "(so!) ", "日本 ", "e.g. this, ", '"No." ']
)
SEEDS = st.integers(0, 1000)


class TestInsertion:
    @settings(max_examples=20)
    @given(st.lists(PIECES, max_size=60), st.lists(st.integers(20, 250), min_size=1, max_size=6), SEEDS)
    def test_facts_are_whole_and_the_text_is_as_it_was(self, pieces, distances, seed):
        text = "".join(pieces) + SENTENCE * 15
        facts = draw_facts(["code"] * len(distances), np.random.default_rng(seed))
        wishes = [Wish(fact, distance) for fact, distance in zip(facts, distances, strict=True)]
        filled = insert_facts(text, wishes, tokenizer("bytes"), room=900, name="text")
        assert filled.tokens <= 900
        bare = filled.text
        for placed in sorted(filled.facts, key=lambda placed: -placed.start):
            sentence = placed.wish.fact.sentence
            assert bare[placed.start :].startswith(sentence)
            bare = bare[: placed.start] + bare[placed.start + len(sentence) :].removeprefix(" ")
        assert text.rstrip().startswith(bare.rstrip())

    @settings(max_examples=20)
    @given(st.lists(st.integers(64, 700), min_size=1, max_size=8), st.integers(0, 1000))
    def test_distances_are_hit_to_half_a_sentence(self, distances, seed):
        facts = draw_facts([KINDS[place % 3] for place in range(len(distances))], np.random.default_rng(seed))
        wishes = [Wish(fact, distance) for fact, distance in zip(facts, distances, strict=True)]
        made = tokenizer("bytes")
        filled = insert_facts(SENTENCE * 80, wishes, made, room=1200, name="text")
        sentence = len(made(SENTENCE, add_special_tokens=False)["input_ids"])
        longest = max(len(made(f" {fact.sentence}", add_special_tokens=False)["input_ids"]) for fact in facts)
        spread = sorted(distances)
        # Facts that are wanted at one place stand in a row there.
        crowd = max(sum(abs(one - other) < 2 * longest for other in spread) for one in spread) - 1
        for placed in filled.facts:
            assert abs(placed.distance - placed.wish.distance) <= sentence / 2 + 3 * len(wishes) + crowd * longest

    def test_the_distance_is_from_the_answer_to_the_end(self):
        (fact,) = draw_facts(["code"], np.random.default_rng(0))
        made = tokenizer("bytes")
        filled = insert_facts(TEXT, [Wish(fact, 200)], made, room=800, name="text")
        behind = filled.text[filled.facts[0].start + len(fact.question) + 1 :]
        assert filled.facts[0].distance == pytest.approx(
            len(made(behind, add_special_tokens=False)["input_ids"]), abs=1
        )

    def test_sentences_stay_whole(self):
        (fact,) = draw_facts(["name"], np.random.default_rng(0))
        filled = insert_facts(TEXT, [Wish(fact, 300)], tokenizer("bytes"), room=800, name="text")
        start = filled.facts[0].start
        assert start % len(SENTENCE) == 0

    def test_a_text_that_is_too_short(self):
        (fact,) = draw_facts(["code"], np.random.default_rng(0))
        with pytest.raises(
            InputError, match=r"^short.txt has \d+ tokens, too few for a fact 500 tokens before its end"
        ):
            insert_facts(SENTENCE, [Wish(fact, 500)], tokenizer("bytes"), room=800, name="short.txt")

    @pytest.mark.parametrize("text", ["", " ", "\n"])
    def test_a_text_without_words(self, text):
        (fact,) = draw_facts(["code"], np.random.default_rng(0))
        with pytest.raises(InputError, match="has 0 tokens"):
            insert_facts(text, [Wish(fact, 500)], tokenizer("bytes"), room=800, name="empty")


class TestAnswers:
    """What a method says to a question is what one pass over context and question says."""

    def reading(self, model, task, share=0.5):
        return Reading(model, task.context, keep_states=True, share=share)

    def test_full(self, model, task):
        with FullMethod("full", "never").read(self.reading(model, task)) as read:
            assert read.share == 1
            for question in task.questions:
                whole = join_passages(task.context, question.passage)
                scores = read.read_on(question.passage, question.scored)
                same(scores, last_logits(model, whole, question.scored), question)

    @pytest.mark.parametrize("name", ["streaming", "names-far", "separators"])
    def test_a_grammar(self, model, task, name):
        grammar = load_grammar(name)
        short = with_window(grammar, 20)
        for question in task.questions[:2]:
            whole = join_passages(task.context, question.passage)
            annotation = {key: ids[:, :-1] for key, ids in whole.inputs.items() if key != "input_ids"}
            with GrammarMethod(name, "before", short).read(self.reading(model, task)) as read:
                scores = read.read_on(question.passage, question.scored)
                same(scores, last_logits(model, whole, question.scored, **annotation), question)
                assert read.share < 0.5

    def blocked(self, task, question, kept, known):
        """Return the mask of one pass in which the tokens after the `known` ones read only what is kept."""
        context, length = len(task.context), len(task.context) + len(question.passage) - 1
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        dropped = [place for place in range(context) if place not in kept]
        mask[context + known :, dropped] = False
        return mask

    def test_a_compressed_cache_is_a_mask_of_what_was_dropped(self, model, task):
        kept = {*range(0, len(task.context), 3)}
        method = PressMethod("thirds", "before", score_places(kept))
        with method.read(self.reading(model, task, len(kept) / len(task.context))) as read:
            assert read.share == len(kept) / len(task.context)
            for question in task.questions[:2]:
                whole = join_passages(task.context, question.passage)
                logits = last_logits(model, whole, question.scored, self.blocked(task, question, kept, 0))
                same(read.read_on(question.passage, question.scored), logits, question)

    def test_a_known_question_is_read_in_full_and_kept(self, model, task):
        question = task.questions[0]
        known = len(question.passage) - question.scored - 1  # the last token of a question is read again
        kept = {*range(1, len(task.context), 2)}
        asked = {*range(len(task.context), len(task.context) + known + 1)}
        method = PressMethod("halves", "known", score_places(kept | asked))
        with method.read(self.reading(model, task, len(kept) / len(task.context))) as read:
            whole = join_passages(task.context, question.passage)
            logits = last_logits(model, whole, question.scored, self.blocked(task, question, kept, known))
            same(read.read_on(question.passage, question.scored), logits, question)

    def test_streaming_keeps_the_first_and_the_last(self, model, task):
        (method,) = peer_methods(("streaming-llm",), seed=0)
        context = len(task.context)
        kept = {*range(4), *range(context - 96, context)}
        with method.read(self.reading(model, task, 100 / context)) as read:
            question = task.questions[0]
            whole = join_passages(task.context, question.passage)
            logits = last_logits(model, whole, question.scored, self.blocked(task, question, kept, 0))
            same(read.read_on(question.passage, question.scored), logits, question)

    def test_reading_on_changes_nothing(self, model, task):
        with FullMethod("full", "never").read(self.reading(model, task)) as read:
            question = task.questions[0]
            first, second = (read.read_on(question.passage, question.scored).losses for _ in range(2))
            assert torch.equal(first, second)

    @pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
    def test_a_window_is_as_long_as_a_share_allows(self, model, task, share):
        grammar = load_grammar("streaming")
        fitted = fit_window(grammar, task.context, heads_of(model), share=share, name="fitted")
        found = kept_share(fitted, task.context, heads_of(model))
        assert found <= share or fitted.rules[0].reach == Reach("words", -1, 0)
        if share < 1:
            longer = with_window(fitted, 1 - fitted.rules[0].reach.lo)
            assert kept_share(longer, task.context, heads_of(model)) > share


def with_window(grammar, words):
    rules = (
        replace(rule, reach=Reach("words", -words, 0)) if rule.reach.kind == "words" else rule for rule in grammar.rules
    )
    return replace(grammar, rules=tuple(rules))


def score_places(places):
    def score(layer, module, states, rotation, keys, values):
        return torch.tensor([float(place in places) for place in range(keys.shape[2])]).expand(keys.shape[:3])

    return score


class TestMeasurement:
    @pytest.fixture(scope="class")
    def store(self, model, annotate):
        store = Memory()
        measure_recall(model, self.plan(annotate), store, quiet, lambda: None)
        return store

    def plan(self, annotate):
        tasks = [make_task(annotate, Document(name, text), SMALL, 0) for name, text in (("a", TEXT), ("b", TEXT[1:]))]
        grammar = load_grammar("streaming")
        return plan_recall(SMALL, tasks, [grammar], ("streaming-llm",), reference=grammar)

    def test_records_are_the_same_on_another_device(self, model, annotate):
        grammar = with_window(load_grammar("names-far"), 20)
        tasks = [make_task(annotate, Document("a", TEXT), SMALL, 0)]
        plan = plan_recall(SMALL, tasks, [grammar], ("streaming-llm", "sep-llm"), reference=grammar)
        here, there = Memory(), Memory()
        measure_recall(model, plan, here, quiet, lambda: None)
        with other_device() as device:
            measure_recall(deepcopy(model).to(device), plan, there, quiet, lambda: None)
        assert here.keys() == there.keys()
        assert len(here) == 4
        for key, record in here.items():
            for own, other in zip(record["answers"], there[key]["answers"], strict=True):
                assert other == own | {"loss": pytest.approx(own["loss"], abs=1e-4)}
            read_on = record["continuation"]
            assert there[key]["continuation"] == read_on | {"loss": pytest.approx(read_on["loss"], abs=1e-4)}

    def test_a_record_holds_no_text(self, store):
        written = json.dumps(store)
        assert "sailor" not in written
        assert "code of" not in written

    def test_a_finished_record_is_not_made_again(self, model, annotate, store):
        before = {**store}
        (lost,) = (key for key in store if key.startswith("00002.streaming-llm.before"))
        del store[lost]
        made = []

        def bar(parts, description, length):
            made.extend(parts)
            return parts

        measure_recall(model, self.plan(annotate), store, bar, lambda: None)
        assert [(number, method.id) for number, method in made] == [(1, "streaming-llm.before")]
        assert store.keys() == before.keys()
        assert {**store[lost], "seconds": 0} == {**before[lost], "seconds": 0}

    def test_a_record_belongs_to_facts_text_grammar_and_settings(self, annotate):
        plan = self.plan(annotate)
        first, second = plan.tasks
        keys = {plan.key(0, method) for method in plan.methods}
        assert len(keys) == len(plan.methods)
        others = [
            replace(plan, settings=replace(SMALL, seed=1)),
            replace(plan, tasks=[second, first]),
            replace(plan, tasks=[replace(first, context=second.context), second]),
            replace(plan, tasks=[replace(first, questions=first.questions[1:]), second]),
            replace(plan, tasks=[replace(first, rest=first.beginning), second]),
            replace(plan, reference=replace(load_grammar("streaming"), sink_tokens=3)),
        ]
        for other in others:
            changed = {other.key(0, method) for method in other.methods}
            assert not changed & keys

    def test_peers_keep_what_the_grammar_keeps(self, store):
        for text in ("a", "b"):
            grammar, peer = (
                next(record for record in store.values() if (record["name"], record["text"]) == (name, text))
                for name in ("streaming", "streaming-llm")
            )
            assert peer["share"] == pytest.approx(grammar["share"], abs=0.01)
            assert peer["continuation"]["share"] == pytest.approx(grammar["continuation"]["share"], abs=0.01)

    def test_a_row_counts_its_questions(self, store):
        rows = summarise_recall(list(store.values()))
        assert [(row["name"], row["moment"]) for row in rows] == [
            ("full", "never"), ("streaming", "before"), ("streaming-llm", "before")
        ]  # fmt: skip
        for row in rows:
            assert row["exact"]["questions"] == 12
            assert [part["questions"] for part in row["by_kind"]] == [4, 4, 4]
            assert [part["target"] for part in row["by_distance"]] == [100, 400]
        assert "difference" not in rows[0]
        assert {*rows[1]["difference"]} == {"exact", "loss", "continuation_loss"}

    def test_an_exact_answer_is_counted(self):
        def record(name, exact):
            answers = [
                {"kind": "code", "target": 100, "distance": 90, "exact": right, "loss": float(not right)}
                for right in exact
            ]
            return {"text": "a", "name": name, "moment": "never", "share": 1.0, "seconds": 1.0, "answers": answers}

        rows = summarise_recall(
            [record("full", [True, True, True, True]), record("worse", [True, False, False, False])]
        )
        assert [row["exact"]["value"] for row in rows] == [1.0, 0.25]
        assert rows[1]["difference"]["exact"] == {"value": -0.75, "interval": [-0.75, -0.75]}
        assert rows[1]["difference"]["loss"]["value"] == 0.75


@pytest.mark.parametrize(("length", "distances"), [(4096, DISTANCES), (2048, (500, 1000, 2000)), (300, (150,))])
def test_the_distances_that_a_length_has(length, distances):
    assert fitting_distances(length) == distances


class TestWrongInput:
    def test_a_grammar_of_sentence_reach(self):
        grammar = grammask.Grammar("near", (grammask.Rule(("NOUN",), ("VERB",), Reach("sentence")),))
        with pytest.raises(ExperimentError, match="grammar 'near' has rules of sentence reach"):
            plan_recall(SMALL, (), [grammar], (), reference=None)

    @pytest.mark.parametrize("distances", [(900,), (100, 5000), (10,), ()])
    def test_distances_that_a_text_does_not_have(self, distances):
        with pytest.raises(ExperimentError, match="distance"):
            RecallSettings(length=900, distances=distances)

    def test_a_distance_that_leaves_the_question_no_room(self, annotate):
        far = replace(SMALL, distances=(890,))
        with pytest.raises(ExperimentError, match="no fact can stand 890 tokens before a question in 900 tokens"):
            make_task(annotate, Document("a", TEXT), far, 0)

    def test_an_unknown_peer(self):
        with pytest.raises(ExperimentError, match="no peer is called 'h2o'; peers are streaming-llm, sep-llm, snapkv"):
            peer_methods(("h2o",), seed=0)

    def test_kvpress_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "kvpress", None)
        with pytest.raises(ExperimentError, match="pip install --no-deps kvpress"):
            peer_methods(("snapkv",), seed=0)

    def test_a_model_of_another_build(self, task):
        other = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=4, n_positions=1024)
        )
        (method,) = peer_methods(("streaming-llm",), seed=0)
        reading = Reading(other, task.context, keep_states=True, share=0.5)
        with pytest.raises(ModelError, match="GPT2LMHeadModel isn't built as Llama is"), method.read(reading):
            pass


def test_the_docs_have_every_peer():
    page = (Path(__file__).parents[2] / "docs" / "recall.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {description} |" for name, description in PEERS.items()]
    assert "\n".join(rows) in page


def test_what_kvpress_exchanges_is_taken_back(monkeypatch):
    def exchange(_):
        for name in ALL_ATTENTION_FUNCTIONS.valid_keys():
            ALL_ATTENTION_FUNCTIONS[name] = print

    AttentionInterface.register("of a test", max)
    monkeypatch.setattr(presses, "import_module", exchange)
    stock = dict(ALL_ATTENTION_FUNCTIONS.items())
    presses.load_kvpress()
    assert dict(ALL_ATTENTION_FUNCTIONS.items()) == stock
    AttentionInterface.register("of a test", min)
    assert ALL_ATTENTION_FUNCTIONS["of a test"] is min
    monkeypatch.delitem(AttentionInterface._global_mapping, "of a test")


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["snapkv", "expected-attention", "keydiff", "random"])
def test_presses_of_kvpress(model, task, peer):
    pytest.importorskip("kvpress")
    stock = dict(ALL_ATTENTION_FUNCTIONS.items())
    methods = peer_methods((peer,), seed=0)
    assert dict(ALL_ATTENTION_FUNCTIONS.items()) == stock
    for method in methods:
        reading = Reading(model, task.context, keep_states=True, share=0.3)
        with method.read(reading) as read:
            assert read.share == pytest.approx(0.3, abs=0.01)
            scores = read.read_on(task.questions[0].passage, task.questions[0].scored)
            assert scores.losses.isfinite().all()
    assert not hasattr(model.base_model.layers[0].self_attn, "rotary_emb")
