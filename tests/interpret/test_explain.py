"""Explanations add up, agree with the oracle, and find the rule that decides."""

import copy
import itertools
import json

import pytest
import torch
from helpers.batches import random_batch, with_new_words
from helpers.lexicon import DECIDED, DECIDING, LexiconTagger, annotator, sentences, trained
from helpers.strategies import grammars
from helpers.tiny_models import CLASSIFIERS, tiny_model
from helpers.tokenizers_for_tests import tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertForSequenceClassification, BertForTokenClassification, BertModel

import grammask
from grammask.attention.inputs import Annotation
from grammask.errors import ExplainError, ModelError
from grammask.experiment.controls.other_grammars import control_grammar
from grammask.experiment.controls.registry import find_control
from grammask.grammar.file import load_grammar
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs, pair_strengths
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import UPOS
from grammask.interpret.arcs import mass_by_source, strongest_arcs
from grammask.interpret.importance import hops_to, integrated_gradients
from grammask.interpret.sources import NOBODY, Owners, sources_of, without
from grammask.interpret.word_positions import Positions


@pytest.fixture(scope="module")
def annotate():
    return annotator()


@pytest.fixture(scope="module")
def model(annotate):
    return trained(annotate)


@pytest.fixture(scope="module")
def explained(model, annotate):
    return grammask.explain(model, annotate, sentences(60, seed=2)[0])


def one_text(seed):
    batch = random_batch((11,), seed=seed)
    return Annotation(**batch.annotation)


@given(grammar=grammars, seed=st.integers(0, 20), layer=st.integers(0, 2))
@settings(max_examples=60)
def test_owned_pairs_are_the_oracles(grammar, seed, layer):
    annotation = Annotation(**with_new_words(random_batch((11,), seed=seed), seed % 3 / 4).annotation)
    tables = compile_tables(grammar, layer=layer, heads=3)
    ids = vars(annotation)
    allowed = allowed_pairs(tables, **ids)[0].expand(3, -1, -1)
    owners = Owners(grammar, "hard", annotation, heads=3)
    found = owners.of_layer(layer)
    assert torch.equal(found != NOBODY, allowed)
    weights = torch.rand(3, *allowed.shape[1:]).masked_fill(~allowed, -torch.inf).softmax(-1)
    assert sum(mass_by_source(weights, found, len(owners.sources))) == pytest.approx(1.0, abs=1e-5)
    # Under soft a pair gets the strength of the rule that owns it, and nothing is without an owner.
    soft = Owners(grammar, "soft", annotation, heads=3)
    strengths = torch.tensor([
        grammar.rules[source.rule].strength if source.rule is not None else 0.0 for source in soft.sources
    ])  # fmt: skip
    places = soft.of_layer(layer).long()
    assert places.min() >= 0
    assert torch.equal(strengths[places], pair_strengths(tables, **ids)[0].expand(3, -1, -1))


def test_a_pair_belongs_to_the_first_that_allows_it():
    batch = random_batch((11,))
    annotation = Annotation(**batch.annotation)
    rules = (Rule(UPOS, (*UPOS, "[CLS]")), Rule(UPOS, UPOS, strength=1.0), Rule(UPOS, UPOS, strength=1.0))
    grammar = Grammar("twice", rules, sinks=("[CLS]",), same_tag=True)
    owners = Owners(grammar, "hard", annotation, heads=1)
    keys = [owners.sources[place].key if place >= 0 else "" for place in owners.of_layer(0)[0, 1].tolist()]
    words = annotation.word_ids[0].tolist()
    own = ["sink", "self", *("same word" if word == words[1] else "rule 1" for word in words[2:-1]), ""]
    assert keys == own
    soft = Owners(grammar, "soft", annotation, heads=1)
    assert {soft.sources[place].key for place in soft.of_layer(0)[0, 1, 1:-1].tolist()} == {"rule 2"}  # the strongest


def test_a_pair_of_a_sink_token_belongs_to_a_sink():
    annotation = one_text(0)
    owners = Owners(Grammar("begin", (Rule(UPOS, UPOS),), sink_tokens=3), "hard", annotation, heads=1)
    keys = [owners.sources[place].key if place >= 0 else "" for place in owners.of_layer(0)[0, 8].tolist()]
    words = annotation.word_ids[0].tolist()
    assert words[2] != words[8]
    assert keys[:3] == ["sink"] * 3
    assert set(keys[3:8]) <= {"rule 1", "same word"}
    assert keys[8:] == ["self", keys[9], ""]


def test_shares_of_attention_add_up(explained):
    for text in explained:
        for layer in text.mass:
            assert sum(layer) == pytest.approx(1.0, abs=1e-5)
        heads = {}
        for arc in text.arcs:
            assert arc.query != arc.key
            for layer, head, share in arc.heads:
                heads[layer, head, arc.query] = heads.get((layer, head, arc.query), 0.0) + share
        assert max(heads.values()) <= 1 + 1e-5


def test_a_change_is_that_of_the_smaller_grammar(model, annotate, explained):
    for text in explained[:3]:
        inputs = annotate([text.text], return_tensors="pt")
        label = list(text.probabilities).index(text.label)
        for row in text.ablations:
            smaller = without(DECIDED, text.sources[row.source])
            grammask.detach(model)
            with torch.no_grad(), grammask.attached(model, smaller):
                probability = model(**inputs).logits.softmax(-1)[0, label].item()
            grammask.attach(model, DECIDED)
            assert probability - text.probabilities[text.label] == pytest.approx(row.change, abs=1e-6)


def test_a_rule_without_pairs_changes_nothing_to_the_bit(model, annotate):
    (text,) = grammask.explain(model, annotate, ["the kind cat sees a film ."])
    inputs = annotate([text.text], return_tensors="pt")
    idle = {text.sources[row.source].key: row.change for row in text.ablations}
    assert idle["rule 4"] == idle["rule 5"] == 0  # the object has no adjective, and there is no adverb
    assert idle["rule 3"] != 0
    with torch.no_grad():
        before = model(**inputs).logits
    grammask.detach(model)
    for source in text.sources:
        if source.key in ("rule 4", "rule 5"):
            with torch.no_grad(), grammask.attached(model, without(DECIDED, source)):
                assert torch.equal(model(**inputs).logits, before)
    grammask.attach(model, DECIDED)


def test_without_all_rules_of_words_self_and_sinks_are_left(model, annotate):
    grammar = DECIDED
    for source in reversed(sources_of(DECIDED, "hard")):
        if source.is_rule and source.rule != 0:
            grammar = without(grammar, source)
    left = control_grammar(find_control("self-sinks"), DECIDED, [], layers=2, heads=2, seed=0)
    inputs = annotate(sentences(8, seed=3)[0], return_tensors="pt")
    answers = []
    grammask.detach(model)
    for one in (grammar, left):
        with torch.no_grad(), grammask.attached(model, one):
            answers.append(model(**inputs).logits)
    grammask.attach(model, DECIDED)
    assert torch.equal(*answers)


def test_the_rule_that_decides_is_found(explained):
    texts, labels = sentences(60, seed=2)
    right = [text.label == ("bad", "good")[label] for text, label in zip(explained, labels, strict=True)]
    assert sum(right) >= 57, "the model must have learned the task"
    tops = [max(text.ablations, key=lambda row: row.share or 0.0) for text in explained]
    found = [text.sources[row.source].name == DECIDING for text, row in zip(explained, tops, strict=True)]
    assert sum(found) >= 0.9 * len(texts)
    # [CLS] reading the verb is no rule of words: it has a change, but no share.
    assert all(text.ablations[0].share is None for text in explained)


def test_importance_is_that_of_the_deciding_word_and_adds_up(model, annotate, explained):
    hits = 0
    for text in explained:
        important = max(range(len(text.words)), key=lambda number: abs(text.words[number].importance))
        hits += text.words[important].text == text.text.split()[1]
    assert hits >= 0.9 * len(explained)
    assert all(word.importance == 0.0 for text in explained for word in text.words if not word.is_word)
    inputs = dict(annotate([explained[0].text], return_tensors="pt"))
    baseline = {**inputs, "input_ids": torch.where(inputs["tag_ids"] < len(UPOS), 0, inputs["input_ids"])}
    with torch.no_grad():
        one, other = (model(**given).logits.softmax(-1)[0, 1].item() for given in (inputs, baseline))
    assert float(integrated_gradients(model, inputs, 1, 0).sum()) == pytest.approx(one - other, abs=0.02)


def test_attention_between_words_is_a_sum_over_what_is_read_and_a_mean_over_who_reads():
    positions = Positions(("a", "b", "c"), ("X",) * 3, (True,) * 3, torch.tensor([0, 1, 1, 2, 1]), 0)
    weights = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
    found = positions.attention(weights)
    members = [[0], [1, 2, 4], [3]]
    for head, query, key in itertools.product(range(2), range(3), range(3)):
        by_reader = [sum(float(weights[head, one, other]) for other in members[key]) for one in members[query]]
        assert float(found[head, query, key]) == pytest.approx(sum(by_reader) / len(by_reader))
    assert positions.firsts.tolist() == [0, 1, 3]


def test_hops_are_the_shortest_ways(explained):
    # [CLS] reads the verb in one hop, what the verb reads in two; nothing reads the determiner on its way there.
    words = {word.text: word.hops for word in explained[0].words}
    subject = explained[0].text.split()
    assert words["[CLS]"] == 0
    assert words[subject[3]] == 1
    assert words[subject[1]] == 2
    assert words["."] is None
    generator = torch.Generator().manual_seed(0)
    reads = [torch.rand(5, 5, generator=generator) < 0.3 for _ in range(3)]

    def slowly(token):
        best = None
        for path in itertools.product(range(5), repeat=3):
            steps, here = 0, token
            for layer, there in zip(reads, path, strict=True):
                if there != here:
                    if not layer[there, here]:
                        break
                    steps, here = steps + 1, there
            else:
                if here == 0 and (best is None or steps < best):
                    best = steps
        return best

    assert hops_to(0, reads) == [slowly(token) for token in range(5)]


def test_arcs_keep_each_sources_strongest():
    torch.manual_seed(0)
    weights = torch.rand(2, 3, 40, 40).softmax(-1)
    owners = torch.randint(0, 9, weights.shape, dtype=torch.int16)
    weights[owners == 8] = 1e-6  # far too weak to be among the strongest of a head
    arcs = strongest_arcs(weights, owners, layers=(4, 7))
    assert {arc.source for arc in arcs} == set(range(9))
    assert {layer for arc in arcs for layer, _, _ in arc.heads} <= {4, 7}
    assert len(arcs) <= 80
    assert arcs == sorted(arcs, key=lambda arc: -arc.weight)


def test_soft_and_heads_are_explained(annotate):
    texts = ["the kind cat sees a dull film ."]
    for grammar, strategy in (("paper", "soft"), ("minilm-offsets", "hard")):
        guided = tiny_model("bert", num_hidden_layers=6, num_attention_heads=12, hidden_size=48, pad_token_id=0)
        grammask.attach(guided, grammar, strategy)
        (text,) = grammask.explain(guided, annotate, texts)
        assert all(sum(layer) == pytest.approx(1.0, abs=1e-5) for layer in text.mass)
        inputs = annotate(texts, return_tensors="pt")
        row = max(text.ablations, key=lambda row: abs(row.change))
        grammask.detach(guided)
        with (
            torch.no_grad(),
            grammask.attached(guided, without(load_grammar(grammar), text.sources[row.source]), strategy),
        ):
            logits = guided(**inputs).logits[0].softmax(-1)
        label = list(text.probabilities).index(text.label)
        assert row.change != 0
        assert float(logits[label]) - text.probabilities[text.label] == pytest.approx(row.change, abs=1e-5)


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_every_architecture_is_explained(annotate, model_type):
    late = Rule(UPOS, UPOS, Reach("words", -3, -1), layers=(1,), heads=(0, 2), name="late")
    grammar = Grammar("late", (Rule(("[CLS]",), UPOS), Rule(UPOS, UPOS, Reach("words", 1, 2)), late), sinks=("[SEP]",))
    guided = grammask.attach(tiny_model(model_type), grammar)
    (text,) = grammask.explain(guided, annotate, ["the kind cat sees a dull film ."])
    assert all(sum(layer) == pytest.approx(1.0, abs=1e-5) for layer in text.mass)
    assert {layer for arc in text.arcs if text.sources[arc.source].name == "late" for layer, *_ in arc.heads} == {1}
    inputs = annotate([text.text], return_tensors="pt")
    label = list(text.probabilities).index(text.label)
    grammask.detach(guided)
    row = next(row for row in text.ablations if text.sources[row.source].name == "late")
    with torch.no_grad(), grammask.attached(guided, without(grammar, text.sources[row.source])):
        left = float(guided(**inputs).logits[0].softmax(-1)[label])
    assert left - text.probabilities[text.label] == pytest.approx(row.change, abs=1e-5)


def test_subwords_are_merged_and_a_cut_is_told():
    subwords = copy.deepcopy(tokenizer("wordpiece"))
    annotate = grammask.Annotator(subwords, LexiconTagger(), cache=False)
    guided = grammask.attach(tiny_model("bert", vocab_size=200, pad_token_id=0), "paper-sinks")
    (text,) = grammask.explain(guided, annotate, ["unbelievably kind sailor sees internationalisation ."])
    assert [word.text for word in text.words[1:-1]] == text.text.split()
    assert text.words_cut == 0
    for longest in (20, 1 << 60):  # the model has 80 positions, whatever the tokenizer says
        subwords.model_max_length = longest
        (text,) = grammask.explain(guided, annotate, ["kind cat sees the dull film . " * 9])
        assert text.words_cut + sum(word.is_word for word in text.words) == 63
        assert text.words_cut > 0


@pytest.mark.parametrize("side", ["right", "left"])
def test_words_cut_are_counted_where_they_are_cut_and_merged_ones_are_none(side):
    subwords = copy.deepcopy(tokenizer("spaces"))
    subwords.truncation_side = side
    annotate = grammask.Annotator(subwords, LexiconTagger(), cache=False)
    guided = grammask.attach(tiny_model("bert", vocab_size=200, pad_token_id=0), "paper-sinks")
    (text,) = shown = grammask.explain(guided, annotate, "the cat can't see [SEP] co-op")
    assert [word.text for word in text.words[1:-1]] == ["the", "cat", "can't", "see", "[SEP]", "co-op"]
    assert [word.is_word for word in text.words] == [False, *[True] * 6, False]
    assert (text.words[5].tag, text.words_cut) == ("X", 0)
    assert "longer than" not in shown._repr_html_()
    subwords.model_max_length = 5
    (text,) = shown = grammask.explain(guided, annotate, "the cat can't see co-op films")  # of 10 words
    kept = ["the", "cat", "can't"] if side == "right" else ["see", "co-op", "films"]
    assert [word.text for word in text.words[1:-1]] == kept
    assert text.words_cut == 5
    assert f"doesn&#x27;t read the {'first' if side == 'left' else 'last'} 5 words" in (
        shown._repr_html_().replace("&#39;", "&#x27;").replace("&amp;", "&")
    )


def test_what_has_no_answer_is_refused(model, annotate):
    with pytest.raises(ModelError, match="has no grammar"):
        grammask.explain(tiny_model("bert"), annotate, ["the cat"])
    with pytest.raises(ModelError, match="reads everything"):
        grammask.explain(grammask.attach(tiny_model("bert"), "paper", "full"), annotate, ["the cat"])
    with pytest.raises(ExplainError, match="text 2 is empty"):
        grammask.explain(model, annotate, ["the cat", "  "])
    with pytest.raises(ExplainError, match="unknown rule '7'; the grammar has rule 1 to rule 6"):
        grammask.explain(model, annotate, ["the cat"], rules=["7"])
    with pytest.raises(ExplainError, match="unknown layer 2; the model has layers 0 to 1"):
        grammask.explain(model, annotate, ["the cat"], layers=[2])
    learned = grammask.attach(tiny_model("bert"), "paper", "soft", learn_strengths="layer")
    with pytest.raises(ExplainError, match="learned strengths"):
        grammask.explain(learned, annotate, ["the cat"])


@pytest.mark.parametrize("kind", ["hidden states", "regression", "multi_label_classification", "tokens"])
def test_what_chooses_no_label_is_refused(model, annotate, kind):
    config = copy.deepcopy(model.config)
    config.num_labels = 1 if kind == "regression" else 3
    if kind == "multi_label_classification":
        config.problem_type = kind
    make = {"hidden states": BertModel, "tokens": BertForTokenClassification}.get(kind, BertForSequenceClassification)
    del config.grammask
    other = grammask.attach(make(config), DECIDED)
    with pytest.raises(ModelError, match="doesn't choose one of several labels"):
        grammask.explain(other, annotate, ["the cat"])


def test_a_model_that_returns_tuples_is_explained(model, annotate):
    text = sentences(1, seed=5)[0]
    wanted = grammask.explain(model, annotate, text).to_dict()
    model.config.return_dict = False
    try:
        assert grammask.explain(model, annotate, text).to_dict() == wanted
    finally:
        model.config.return_dict = True


def test_inference_mode_changes_nothing(model, annotate):
    text = sentences(1, seed=5)[0]
    with torch.inference_mode():
        found = grammask.explain(model, annotate, text)
        made = BertForSequenceClassification(model.config)
        grammask.attach(made, "english")
        with pytest.raises(ModelError, match=r"the model was made in torch.inference_mode\(\); load it outside"):
            grammask.explain(made, annotate, text)
    assert found.to_dict() == grammask.explain(model, annotate, text).to_dict()


def test_rules_and_layers_can_be_chosen(model, annotate):
    model.train()
    (text,) = grammask.explain(model, annotate, ["the kind cat sees a film ."], rules=["3", DECIDING], layers=[1])
    assert model.training
    model.eval()
    assert [text.sources[row.source].key for row in text.ablations] == ["rule 3"]
    assert text.layers == (1,)
    assert len(text.mass) == 1


def test_pages_escape_and_notebooks_show_them(model, annotate):
    shown = grammask.explain(model, annotate, ["<script>alert(1)</script> sees & the kind 'cat' .", "the kind cat"])
    html = shown._repr_html_()
    assert html.startswith("<iframe srcdoc=")
    assert "<script>" not in html
    assert "&amp;lt;script&amp;gt;" in html
    assert json.loads(json.dumps(shown.to_dict()))["texts"][0]["text"].startswith("<script>")
    everywhere = Grammar("all", (Rule(UPOS, UPOS, name="<b>twice</b>"),))
    grammask.detach(model)
    with grammask.attached(model, everywhere):
        html = grammask.explain(model, annotate, ["the cat"])._repr_html_()
    grammask.attach(model, DECIDED)
    assert "&amp;lt;b&amp;gt;twice" in html
