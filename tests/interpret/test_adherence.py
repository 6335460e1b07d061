"""Adherence and faithfulness against slow counts, and on models whose answers are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.lexicon import DECIDED, annotator, sentences, trained
from helpers.own_mask_models import build
from helpers.tiny_models import tiny_model

import grammask
from grammask.errors import ExplainError, ModelError
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import UPOS
from grammask.interpret import adherence, relations
from grammask.interpret.faithfulness import MEASURES, WAYS, erase, measure_faithfulness
from grammask.interpret.relations import DIRECTIONS, Followed, best_heads
from grammask.report.adherence_page import adherence_page, write_adherence_figures
from grammask.report.faithfulness_page import faithfulness_page

NEXT = Grammar("next", (Rule(UPOS, UPOS, Reach("words", 1, 1)),), sinks=("[CLS]",))


@pytest.fixture(scope="module")
def annotate():
    return annotator()


@pytest.fixture
def no_parse(monkeypatch):
    """Parses in which every word hangs on the next one, whatever the language."""
    monkeypatch.setattr(
        adherence,
        "parse_relations",
        lambda texts, _: [[(number, number + 1, "next") for number in range(len(text.split()) - 1)] for text in texts],
    )


@pytest.mark.parametrize("causal", [False, True])
def test_shares_are_those_of_a_slow_count(causal):
    torch.manual_seed(0)
    between = torch.rand(2, 3, 6, 6)
    pairs = torch.rand(2, 3, 6, 6) < 0.4
    between, pairs = (values.tril() if causal else values for values in (between, pairs))
    found = adherence._sums(between, pairs, causal=causal)
    for layer, head in np.ndindex(2, 3):
        sums = np.zeros(4)
        for row in range(6):
            others = [key for key in range(row if causal else 6) if key != row]
            paid = {key: float(between[layer, head, row, key]) for key in others}
            allowed = [key for key in others if pairs[layer, head, row, key]]
            nearest = sorted(others, key=lambda key: (abs(key - row), key > row))[: len(allowed)]
            sums += [
                sum(paid[key] for key in allowed), sum(paid.values()) * len(allowed) / max(1, len(others)),
                sum(paid[key] for key in nearest), sum(paid.values()),
            ]  # fmt: skip
        assert found[:, layer, head] == pytest.approx(sums)


def test_a_masked_model_adheres_wholly_and_a_stock_one_in_part(annotate, no_parse):
    texts = sentences(30, seed=5)[0]
    guided = grammask.attach(tiny_model("bert", pad_token_id=0), NEXT)
    whole = adherence.measure_adherence(guided, annotate, texts, NEXT, parser="none")
    assert whole.shares["grammar"] == pytest.approx(np.ones((3, 4)), abs=1e-6)
    assert (whole.entropy <= 1 + 1e-9).all()
    # Each word hangs on the next, which is all that it may read.
    assert {(row.name, row.direction, row.accuracy) for row in whole.relations} == {("next", DIRECTIONS[0], 1.0)}
    assert whole.relations[0].offset == 1
    grammask.detach(guided)
    stock = adherence.measure_adherence(grammask.attach(guided, NEXT, "full"), annotate, texts, NEXT, parser="none")
    assert (stock.shares["grammar"] < 0.9).all()
    assert stock.shares["grammar"].mean() == pytest.approx(stock.shares["random"].mean(), abs=0.1)  # random weights
    low, high = stock.to_dict()["differences"]["random"]["interval"]
    assert low <= stock.to_dict()["differences"]["random"]["value"] <= high
    assert stock.word_density == whole.word_density
    with pytest.raises(ExplainError, match="two words"):
        adherence.measure_adherence(guided, annotate, ["cat"], NEXT, parser="none")


def test_a_causal_model_is_compared_with_what_stands_before_the_reader(annotate, no_parse):
    back = Grammar("back", (Rule(UPOS, UPOS, Reach("words", -1, 3)),), sinks=("[CLS]",))
    texts = sentences(30, seed=5)[0]
    guided = grammask.attach(build("llama", pad_token_id=0), back)
    whole = adherence.measure_adherence(guided, annotate, texts, back, parser="none")
    # The nearest earlier word is all that a word reads, and all that a window of as many words holds.
    assert whole.shares["grammar"] == pytest.approx(np.ones((3, 4)), abs=1e-6)
    assert whole.shares["window"] == pytest.approx(np.ones((3, 4)), abs=1e-6)
    assert (whole.shares["random"] < 0.7).all()
    lengths = [len(text.split()) for text in texts]
    wanted = sum(2 * length - 1 for length in lengths) / sum(length * (length + 1) / 2 for length in lengths)
    assert whole.word_density == pytest.approx(wanted)


def test_the_best_head_is_chosen_on_the_other_half():
    torch.manual_seed(0)
    halves = Followed(), Followed()
    for number in range(80):
        words = torch.rand(1, 2, 5, 5)
        words[0, 1, 0, 3] = 9.0  # head 1 finds word 3 from word 0 in every text
        words[0, 0, 0, 3] = 9.0 if number % 2 else 0.0  # head 0 only in the second half
        halves[number % 2].add([(0, 3, "obj"), (9, 1, "cut off")], words)
    (found,) = best_heads(*halves)
    assert (found.name, found.words, found.layer, found.head, found.accuracy) == ("obj", 40, 0, 1, 1.0)
    assert found.offset == 3
    assert found.offset_accuracy == 1.0


def test_arcs_are_between_words_as_the_model_reads_them():
    read = annotator().read("the cat")
    numbers = np.array([-1, 4, 5, 5, 6, -1])  # one cut off, two that share a token, one that no token reads
    words = replace(read.aligned.texts[0], numbers=numbers, cut_before=4)
    arcs = [(0, 1, "cut"), (1, 2, "moved"), (2, 3, "inside"), (4, 3, "back"), (5, 1, "unread"), (9, 1, "beyond")]
    assert adherence._between_read(arcs, words) == [(0, 1, "moved"), (2, 1, "back")]


def test_relations_come_from_the_parser():
    (arcs,) = relations.parse_relations(["She reads the old book."], "en_core_web_sm")
    assert (0, 1, "nsubj") in arcs
    assert (2, 4, "det") in arcs


def test_erased_words_are_gone_and_the_rest_moves_together(annotate):
    inputs = dict(annotate(["the kind cat sees a dull film ."], return_tensors="pt"))
    left = erase(inputs, [1, 4, 5])
    assert left["word_ids"].tolist() == [-1, 0, 1, 2, 3, 4, -1]
    words = annotate.tokenizer.convert_ids_to_tokens(left["input_ids"].tolist())
    assert words == ["[CLS]", "the", "cat", "sees", "film", ".", "[SEP]"]
    assert {len(values) for values in left.values()} == {7}


def test_words_that_decide_are_comprehensive(annotate):
    model = trained(annotate)
    measured = measure_faithfulness(model, annotate, sentences(40, seed=6)[0])
    again = measure_faithfulness(model, annotate, sentences(40, seed=6)[0])
    assert np.array_equal(measured.scores, again.scores)
    rows = {row["way"]: row for row in measured.to_dict()["rows"]}
    for way in ("rules", "gradients"):
        assert rows[way]["comprehensiveness_to_random"]["interval"][0] > 0
    assert measured.scores.shape == (40, len(WAYS), len(MEASURES))
    page = faithfulness_page({
        "model": "<m>", "grammar": "g", "strategy": "hard", "text": "t", "seed": 0, **measured.to_dict()
    })  # fmt: skip
    assert "&lt;m&gt;" in page


def test_pages_and_figures_say_what_was_measured(annotate, no_parse, tmp_path):
    guided = grammask.attach(tiny_model("bert", pad_token_id=0), DECIDED, "full")
    measured = adherence.measure_adherence(guided, annotate, sentences(30, seed=5)[0], DECIDED, parser="none").to_dict()
    facts = {"model": "m", "grammar": "<g>", "reading": "reading everything", "text": "t", "parser": "p"}
    everything = json.loads(json.dumps({**facts, **measured}))
    page = adherence_page(everything)
    assert "&lt;g&gt;" in page
    assert page == adherence_page(everything)
    write_adherence_figures(everything, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"relations.csv"} | {
        f"{name}.{kind}" for name in ("adherence", "beyond", "entropy") for kind in ("svg", "png", "csv")
    }


def test_attention_goes_to_bertviz(annotate):
    guided = grammask.attach(tiny_model("bert", pad_token_id=0), NEXT)
    view = grammask.to_bertviz(guided, annotate, "the kind cat")
    assert view["tokens"] == ["[CLS]", "the", "kind", "cat", "[SEP]"]
    assert [layer.shape for layer in view["attention"]] == [(1, 4, 5, 5)] * 3
    assert float(view["attention"][0][0, :, 1, 3].max()) == 0.0  # the next word only
    with pytest.raises(ModelError, match="no grammar"):
        grammask.to_bertviz(grammask.detach(guided), annotate, "the kind cat")
