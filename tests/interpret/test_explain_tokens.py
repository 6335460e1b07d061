"""Explanations of language models: which token, what stood before it, and the rule that carried it."""

import itertools
import math

import pytest
import torch
from helpers.language_models import CAUSAL, bare_tokenizer, language_model
from helpers.lexicon import LexiconTagger, annotator
from helpers.strategies import grammars
from helpers.tiny_models import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from test_explain import one_text
from transformers import BertConfig, BertLMHeadModel, LlamaConfig, LlamaForSequenceClassification

import grammask
from grammask.errors import ExplainError, ModelError
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import UPOS
from grammask.interpret import read_attention
from grammask.interpret.arcs import strongest_arcs
from grammask.interpret.importance import integrated_gradients
from grammask.interpret.predicted import spell_tokens
from grammask.interpret.sources import NOBODY, Owners, without
from grammask.report.explain_page import explain_page

TEXT = "the kind cat sees a dull film now ."
NEAR = Rule(UPOS, UPOS, Reach("words", -1, 0), name="near")
FAR = tuple(Rule(UPOS, ("ADJ",), layers=(layer,), heads=(layer,), name="far adjectives") for layer in range(3))
AHEAD = Rule(UPOS, UPOS, Reach("words", 1, 3), name="ahead")
HEADS = Grammar("by-heads", (NEAR, *FAR, AHEAD), sink_tokens=1)


@pytest.fixture(scope="module")
def annotate():
    return annotator()


@pytest.fixture(scope="module")
def bare():
    return grammask.Annotator(bare_tokenizer(), LexiconTagger(), cache=False)


def logs(model, annotate, text, place):
    """Return the log-probabilities of the token at a place, from the logits of the whole text."""
    with torch.no_grad():
        return model(**annotate([text], return_tensors="pt")).logits[0, place - 1].double().log_softmax(-1)


@pytest.mark.parametrize("name", CAUSAL)
def test_every_causal_model_is_explained(annotate, name):
    guided = grammask.attach(language_model(name), HEADS)
    (after,) = grammask.explain(guided, annotate, TEXT)
    (inside,) = grammask.explain(guided, annotate, TEXT, token="film")
    assert (after.token.place, after.token.in_text, after.token.likelier) == (10, False, 0)
    assert (inside.token.place, inside.token.in_text, inside.label) == (7, True, "film")
    for text in (after, inside):
        place = text.token.place
        found = logs(guided, annotate, TEXT, place)
        assert text.token.log_probability == pytest.approx(float(found[text.token.id]), abs=1e-4)
        assert text.token.likelier == int((found > found[text.token.id]).sum())
        assert [word.text for word in text.words] == ["[CLS]", *TEXT.split()][:place]
        assert text.answered_at == place - 1
        assert text.words[-1].hops == 0
        assert all(sum(layer) == pytest.approx(1.0, abs=1e-5) for layer in text.mass)
        assert all(arc.key < arc.query for arc in text.arcs)
        ahead = next(row for row in text.ablations if text.sources[row.source].name == "ahead")
        assert (ahead.change, ahead.log_change) == (0.0, 0.0)  # a causal model reads nothing there
    far = next(row for row in inside.ablations if inside.sources[row.source].name == "far adjectives")
    grammask.detach(guided)
    with grammask.attached(guided, without(HEADS, inside.sources[far.source])):
        left = float(logs(guided, annotate, TEXT, 7)[inside.token.id])
    assert far.log_change != 0
    assert far.log_change == pytest.approx(left - inside.token.log_probability, abs=1e-4)
    assert far.change == pytest.approx(math.exp(left) - inside.probabilities["film"], abs=1e-4)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_importance_adds_up_to_what_the_words_change(bare, strategy):
    grammar = Grammar("leaning", (NEAR, Rule(UPOS, ("ADJ",), strength=2.0)), sink_tokens=1)
    guided = grammask.attach(language_model("llama", initializer_range=0.02), grammar, strategy)
    for parameter in guided.parameters():
        parameter.data *= 0.3 if parameter.dim() > 1 else 1.0  # so that 32 steps are enough
    (text,) = grammask.explain(guided, bare, TEXT)
    inputs = dict(bare([TEXT], return_tensors="pt"))
    with torch.no_grad():
        one, other = (
            guided(**{**inputs, "input_ids": ids}).logits[0, -1].log_softmax(-1)[text.token.id].item()
            for ids in (inputs["input_ids"], torch.zeros_like(inputs["input_ids"]))
        )
    assert one == pytest.approx(text.token.log_probability, abs=1e-4)
    assert sum(word.importance for word in text.words) == pytest.approx(one - other, abs=0.02)
    found = integrated_gradients(guided, inputs, text.token.id, 0)
    assert float(found.sum()) == pytest.approx(one - other, abs=0.02)


@given(grammar=grammars, seed=st.integers(0, 20), layer=st.integers(0, 2))
@settings(max_examples=40)
def test_a_causal_models_pairs_are_the_oracles_before_the_reader(grammar, seed, layer):
    annotation = one_text(seed)
    allowed = allowed_pairs(compile_tables(grammar, layer=layer, heads=3), **vars(annotation))[0].expand(3, -1, -1)
    owners = Owners(grammar, "hard", annotation, heads=3, causal=True)
    assert torch.equal(owners.of_layer(layer) != NOBODY, allowed.tril())
    soft = Owners(grammar, "soft", annotation, heads=3, causal=True).of_layer(layer)
    assert torch.equal(soft != NOBODY, torch.ones_like(soft, dtype=torch.bool).tril())


@given(grammar=grammars, names=st.lists(st.sampled_from("ab"), min_size=6, max_size=6), seed=st.integers(0, 9))
@settings(max_examples=40)
def test_rules_of_one_name_are_one_source(grammar, names, seed):
    annotation, rules = one_text(seed), grammar.rules
    one_by_one = Grammar(
        "one", tuple(_named(rule, str(at)) for at, rule in enumerate(rules)), same_tag=grammar.same_tag
    )
    together = Grammar("more", tuple(map(_named, rules, names)), same_tag=grammar.same_tag)
    for strategy, layer in itertools.product(("hard", "soft"), (0, 2)):
        single = Owners(one_by_one, strategy, annotation, heads=3)
        joined = Owners(together, strategy, annotation, heads=3)
        assert len(joined.sources) <= len(single.sources)
        place = {rule: at for at, source in enumerate(joined.sources) for rule in source.rules}
        keys = {source.key: at for at, source in enumerate(joined.sources)}
        wanted = [place.get(source.rule, keys.get(source.key, NOBODY)) for source in single.sources] + [NOBODY]
        found = joined.of_layer(layer).long()
        assert torch.equal(found, torch.tensor(wanted)[single.of_layer(layer).long()])


def _named(rule, name):
    return Rule(rule.query, rule.key, rule.reach, rule.strength, rule.allow, rule.layers, rule.heads, name)


@pytest.mark.parametrize(
    ("token", "place"),
    [("kind", 1), ("cat", 2), (2, 2), (-1, 8), ("-1", 8), ("8", 8), ("the", 6), (None, 9)],
)
def test_a_token_is_asked_for_by_word_or_number(token, place):
    spaced = annotator()
    spaced.tokenizer.backend_tokenizer.post_processor = bare_tokenizer().backend_tokenizer.post_processor
    text = "the kind cat sees a dull the film ."
    guided = grammask.attach(language_model("gpt2"), HEADS)
    (one,) = grammask.explain(guided, spaced, text, token=token)
    assert one.token.place == place
    assert one.token.in_text == (token is not None)
    assert [word.text for word in one.words] == text.split()[:place]


@pytest.mark.parametrize(
    ("token", "line"),
    [
        ("dog", "text 1 has no word 'dog'"),
        ("", "text 1 has no word ''"),
        ("<b>\x1b", r"text 1 has no word '<b>\\x1b'"),
        ("99", "text 1 has no token 99; its 11 tokens are counted from 0"),
        (11, "text 1 has no token 11"),
        (-12, "text 1 has no token -12"),
        (0, "text 1: nothing stands before 0, so nothing predicts it"),
        (-11, "nothing stands before -11"),
        (True, "a word of the text or the number of a token, but is True"),
        (1.0, "a word of the text or the number of a token, but is 1.0"),
        ("9" * 5000, "text 1 has no word '999"),
    ],
)
def test_a_token_that_is_not_there_is_refused(annotate, token, line):
    guided = grammask.attach(language_model("llama"), HEADS)
    with pytest.raises(ExplainError, match=line):
        grammask.explain(guided, annotate, TEXT, token=token)


def test_a_word_of_several_tokens_is_shown_as_far_as_it_was_read(bare):
    guided = grammask.attach(language_model("llama"), HEADS)
    text = "the unbelievably kind cat"
    tokens = bare.read(text).aligned.word_ids.tolist()
    first = tokens.index(1)
    assert tokens.count(1) > 2
    (one,) = grammask.explain(guided, bare, text, token=first + 2)
    assert one.words[0].text == "the"
    assert 0 < len(one.words[1].text) < len("unbelievably")
    assert "unbelievably".startswith(one.words[1].text)
    # A space is a token of its own here, and no part of the word that is asked for.
    (whole,) = grammask.explain(guided, bare, text, token="kind")
    assert [word.text for word in whole.words][:2] == ["the", "unbelievably"]
    assert whole.label.strip()
    assert "kind".startswith(whole.label)


def test_one_token_and_no_begin_token_are_enough(bare):
    guided = grammask.attach(language_model("gpt2"), HEADS)
    assert guided.get_output_embeddings().weight is guided.get_input_embeddings().weight
    (one,) = grammask.explain(guided, bare, "e")
    assert len(one.words) == 1
    assert one.token.place == 1
    assert one.arcs == ()
    page = explain_page(grammask.explain(guided, bare, ["e", "the cat"]).to_dict())
    assert "[CLS]" not in page


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_and_its_absence_change_nothing(side):
    guided = grammask.attach(language_model("llama"), HEADS)
    annotate = [
        grammask.Annotator(bare_tokenizer(padding_side=side, pad_token=pad), LexiconTagger(), cache=False)
        for pad in ("[PAD]", None)
    ]
    with_pad, without_pad = (grammask.explain(guided, one, [TEXT, "the cat"]) for one in annotate)
    assert [one.token for one in with_pad] == [one.token for one in without_pad]
    assert [one.ablations for one in with_pad] == [one.ablations for one in without_pad]


def test_windows_of_the_model_itself_are_in_the_hops(bare):
    everything = Grammar("all", (Rule(UPOS, UPOS),))
    text = "the kind cat sees a dull film now ."
    far = {}
    for window in (None, 4):
        guided = grammask.attach(language_model("mistral", sliding_window=window), everything)
        (one,) = grammask.explain(guided, bare, text)
        far[window] = [word.hops for word in one.words]
        assert all(sum(layer) == pytest.approx(1.0, abs=1e-5) for layer in one.mass)
    assert set(far[None]) == {0, 1}
    assert max(number for number in far[4] if number is not None) > 1


@pytest.fixture
def hostile():
    """A tokenizer whose tokens are markup, controls and halves of characters."""
    made = bare_tokenizer()
    made.add_tokens(["<script>alert(1)</script>", "\x1b[31m", "\u202e", "</template>", "{{ 7 * 7 }}"])
    return made


def test_tokens_of_any_kind_are_text(hostile):
    first = hostile.convert_tokens_to_ids("<script>alert(1)</script>")
    guided = language_model("llama", vocab_size=len(hostile) + 3)
    grammask.attach(guided, HEADS)
    annotate = grammask.Annotator(hostile, LexiconTagger(), cache=False)
    half = hostile.encode("é")[0] if len(hostile.encode("é")) > 1 else hostile.encode("\u20ac")[0]
    for token in (first, first + 1, first + 2, first + 3, half, len(hostile) + 1):
        weights = guided.get_output_embeddings().weight.data
        before = weights[token].clone()
        inputs = annotate(["the cat"], return_tensors="pt")
        with torch.no_grad():
            states = guided(**inputs, output_hidden_states=True).hidden_states[-1][0, -1]
        weights[token] = 20 * states / states.norm()
        shown = grammask.explain(guided, annotate, "the cat")
        assert shown[0].token.id == token
        page = explain_page(shown.to_dict())
        assert page.count("<script") == 1
        assert page.count("</template>") == 1
        for character in ("\x1b", "\u202e", "\ufffd"):
            assert character not in page
        weights[token] = before


def test_tokens_are_spelled_apart(hostile):
    halves = [hostile.convert_tokens_to_ids(raw) for raw in ("Ã", "©")]
    names = spell_tokens(hostile, [*halves, hostile.convert_tokens_to_ids("Ġ"), len(hostile) + 5])
    assert len(set(names)) == 4
    assert names[2:] == [" ", f"token {len(hostile) + 5}"]
    assert all(f"(token {token})" in name for token, name in zip(halves, names, strict=False))


def test_hundreds_of_rules_make_a_short_page(bare):
    rules = []
    for layer, head in itertools.product(range(8), range(8)):
        near = Reach("words", -1 - (layer + head) % 3, 0)
        rules.append(Rule(UPOS, UPOS, near, layers=(layer,), heads=(head,), name=f"near {head}"))
        if head % 4 == 0:
            rules += [Rule(UPOS, (tag,), layers=(layer,), heads=(head,)) for tag in ("ADJ", "NOUN", "DET")]
    guided = language_model(
        "llama", num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=4, hidden_size=48
    )
    grammask.attach(guided, Grammar("many", tuple(rules), sink_tokens=1))
    shown = grammask.explain(guided, bare, TEXT)
    names = [source.name for source in shown[0].sources if source.is_rule]
    assert len(names) == len(set(names)) == 8 + 3
    assert sum(len(source.rules) for source in shown[0].sources) == len(rules)
    page = explain_page(shown.to_dict())
    assert page.count("<tr>") < 60
    assert "rule 1: near 0 (8 rules)" in page
    (last,) = grammask.explain(guided, bare, TEXT, rules=["rule 15"])
    assert [last.sources[row.source].others != () for row in last.ablations] == [True]
    assert 14 in last.sources[last.ablations[0].source].rules


def test_more_sources_than_arcs_leave_the_strongest():
    weights = torch.rand(1, 2, 60, 60, generator=torch.Generator().manual_seed(0)).softmax(-1)
    owners = (torch.arange(3600) % 200).view(1, 1, 60, 60).expand(1, 2, 60, 60).to(torch.int16)
    assert len(strongest_arcs(weights, owners, layers=(0,))) == 80


def test_a_causal_classifier_answers_at_its_last_token(bare):
    config = LlamaConfig(
        vocab_size=400, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_labels=3,
        pad_token_id=0,
    )  # fmt: skip
    guided = grammask.attach(LlamaForSequenceClassification(config).eval(), HEADS_OF_TWO)
    (one,) = grammask.explain(guided, bare, TEXT)
    assert one.token is None
    assert one.answered_at == len(one.words) - 1
    assert one.words[-1].hops == 0
    with pytest.raises(ExplainError, match="token is for causal language models"):
        grammask.explain(guided, bare, TEXT, token=3)


HEADS_OF_TWO = Grammar("two", (NEAR, *FAR[:2]), sink_tokens=1)


def test_what_predicts_no_token_is_refused(annotate, bare, monkeypatch):
    config = BertConfig(vocab_size=120, hidden_size=32, num_hidden_layers=3, num_attention_heads=4)
    with pytest.raises(ModelError, match="reads what follows a token"):
        grammask.explain(grammask.attach(BertLMHeadModel(config), HEADS), annotate, TEXT)
    with pytest.raises(ExplainError, match="token is for causal language models"):
        grammask.explain(grammask.attach(tiny_model("bert"), "paper"), annotate, TEXT, token="cat")
    guided = grammask.attach(language_model("llama"), HEADS)
    with pytest.raises(ExplainError, match="text 2 is empty"):
        grammask.explain(guided, bare, ["the", " \t "])
    full = grammask.attach(language_model("llama"), HEADS, "full")
    with pytest.raises(ModelError, match="reads everything"):
        grammask.explain(full, bare, TEXT)
    learned = grammask.attach(language_model("llama"), "paper", "soft", learn_strengths="layer")
    with pytest.raises(ExplainError, match="learned strengths"):
        grammask.explain(learned, bare, TEXT)
    monkeypatch.setattr(read_attention, "MOST_PAIRS", 12 * 20**2)
    with pytest.raises(ExplainError, match=r"text 1 has [0-9]+ tokens to read; .* at most 20 tokens"):
        grammask.explain(guided, bare, TEXT * 5)
    assert grammask.explain(guided, bare, TEXT * 5, token=9)[0].token.place == 9


def test_a_text_that_the_model_cannot_hold_predicts_nothing():
    short = grammask.Annotator(bare_tokenizer(model_max_length=12), LexiconTagger(), cache=False)
    guided = grammask.attach(language_model("llama"), HEADS)
    with pytest.raises(ExplainError, match="text 1 is longer than the model reads"):
        grammask.explain(guided, short, TEXT)
    assert grammask.explain(guided, short, TEXT, token=5)[0].token.place == 5
