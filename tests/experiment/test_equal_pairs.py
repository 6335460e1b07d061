"""Controls of equal pairs, the strata and the statistics of perplexity, without a model."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.causal_models import BY_HEAD, FAR

from grammask.attention.causal_pairs import CausalText
from grammask.attention.position_mask import PositionMask
from grammask.experiment.perplexity.config import CONTROL_NAMES, make_perplexity_config
from grammask.experiment.perplexity.equal_pairs import match_size
from grammask.experiment.perplexity.lookahead import reads_by_tags, warn_of_future
from grammask.experiment.perplexity.loss_summary import RowLosses, compare_losses, summarise_losses
from grammask.experiment.perplexity.pair_counter import PairCounter
from grammask.experiment.perplexity.perplexity_control import EQUAL_CONTROLS
from grammask.experiment.perplexity.rows import make_rows
from grammask.experiment.perplexity.strata import DISTANCES, STRATA, find_distances, sum_strata
from grammask.grammar.file import load_grammar
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import CLS, TAG_IDS, UPOS

LAYERS, HEADS = 3, 6
POSITIONS = (PositionMask(causal=True),) * LAYERS
SENTENCE = Grammar("sentence", (Rule(UPOS, UPOS, Reach("sentence")), Rule(UPOS, ("PROPN",))))


def a_text(seed, words=500):
    """Words of one to three tokens, names longer than others and more of them at the beginning."""
    rng = np.random.default_rng(seed)
    chances = np.linspace(0.3, 0.1, words)
    tags = np.where(rng.random(words) < chances, TAG_IDS["PROPN"], rng.integers(0, len(UPOS), words))
    sizes = np.where(tags == TAG_IDS["PROPN"], 3, rng.integers(1, 3, words))
    numbers = np.repeat(np.arange(words), sizes)
    return CausalText(np.append(CLS, np.repeat(tags, sizes)), np.append(-1, numbers), np.append(-1, numbers // 20))


TEXTS = [a_text(seed) for seed in range(3)]
TOKENS = tuple(np.random.default_rng(9).zipf(1.5, len(text)).clip(max=200) for text in TEXTS)
COUNTER = PairCounter(TEXTS, LAYERS, HEADS, POSITIONS)


def rows_of(grammar, *controls, seed=0):
    said = []
    config = make_perplexity_config(controls=controls, seed=seed)
    return make_rows(config, {grammar.name: (grammar, True)}, COUNTER, TOKENS, said.append), said


@pytest.mark.parametrize("grammar", [FAR, BY_HEAD, SENTENCE, load_grammar("names-far")], ids=lambda found: found.name)
@pytest.mark.parametrize("control", CONTROL_NAMES)
def test_controls_have_the_pairs_of_their_grammar(grammar, control):
    (_, own, row), said = rows_of(grammar, control)
    counter = COUNTER if row.tags is None else COUNTER.retagged(row.tags)
    wanted, found = COUNTER.share(own.grammar), counter.share(row.grammar)
    if not (control == "separators" and grammar is SENTENCE):  # it has no window that could fit
        assert found == pytest.approx(wanted, rel=0.02 if control == "split-heads" else 0.01)  # a word is a percent
    assert (row.of, row.control, said) == (grammar.name, control, [])
    assert row.grammar.sink_tokens == grammar.sink_tokens


def test_shuffled_tags_keep_words_together_and_the_tokens_of_each_tag():
    (*_, row), _ = rows_of(FAR, "shuffled-tags")
    for text, tags in zip(TEXTS, row.tags, strict=True):
        assert (tags[text.words < 0] == text.tags[text.words < 0]).all()
        for word in range(int(text.words.max()) + 1):
            assert len(set(tags[text.words == word].tolist())) == 1
        before, after = (np.bincount(found, minlength=len(UPOS)) for found in (text.tags, tags))
        assert abs(before - after).max() <= 4
        assert (tags == text.tags).mean() < 0.5


def test_controls_are_drawn_by_the_seed():
    for control in ("shuffled-tags", "random-keys", "split-heads", "rarest"):
        hashes = [rows_of(FAR, control, seed=seed)[0][-1].sha256 for seed in (0, 0, 1)]
        assert hashes[0] == hashes[1] != hashes[2]


def test_heads_that_read_most_far_words_are_the_full_ones():
    wide = Grammar(
        "wide", (Rule(UPOS, UPOS, Reach("words", -30, 0)), Rule(UPOS, ("PROPN",), layers=(1,), heads=(2, 4)))
    )
    (*_, row), _ = rows_of(wide, "split-heads")
    (full,) = (rule for rule in row.grammar.rules if rule.reach.kind == "document")
    assert full.layers == (1,)
    assert set(full.heads) <= {2, 4}


def test_rare_tokens_are_read_first():
    (*_, row), _ = rows_of(FAR, "rarest")
    counts = np.bincount(np.concatenate(TOKENS))
    (far,) = {rule.key for rule in row.grammar.rules if rule.reach.kind == "document"}
    for text, tokens, tags in zip(TEXTS, TOKENS, row.tags, strict=True):
        read = np.isin(tags, [TAG_IDS[tag] for tag in far])
        assert counts[tokens[read]].max() <= counts[tokens[~read & (text.words >= 0)]].min()


def test_heads_draw_words_of_their_own():
    (*_, row), _ = rows_of(FAR, "random-keys")
    read = {rule.key for rule in row.grammar.rules if rule.reach.kind == "document"}
    assert len(read) > 1


@pytest.mark.parametrize(
    ("grammar", "controls", "why"),
    [
        (load_grammar("streaming"), (), "no rule leads to far words"),
        (
            Grammar("heads", (Rule(UPOS, UPOS, Reach("words", -9, 0)), Rule(UPOS, UPOS, heads=(1,)))),
            ("longer-window", "split-heads"), "tell no tags apart",
        ),
    ],
)  # fmt: skip
def test_a_control_that_says_nothing_of_a_grammar_is_left_out_and_said(grammar, controls, why):
    rows, said = rows_of(grammar, *CONTROL_NAMES)
    assert tuple(row.control for row in rows[2:]) == controls
    assert len(said) == len(CONTROL_NAMES) - len(controls)
    assert all(why in line for line in said)


def test_every_control_is_a_setting_and_described():
    assert set(EQUAL_CONTROLS) == set(CONTROL_NAMES)
    text = (Path(__file__).parents[2] / "docs" / "perplexity.md").read_text(encoding="utf-8")
    table = text[text.index("| control |") :].split("\n\n")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, re.MULTILINE)
    assert rows == [(name, EQUAL_CONTROLS[name].description) for name in CONTROL_NAMES]


@pytest.mark.parametrize("wanted", [0.0, 0.31, 0.5, 1.0, 7.0])
def test_the_nearest_size_is_found(wanted):
    assert abs(match_size(lambda size: size / 100, wanted, low=0, high=100, whole=True) / 100 - min(wanted, 1)) <= 0.01
    assert match_size(lambda size: size, wanted, low=0.0, high=1.0) == pytest.approx(min(wanted, 1), abs=0.01)


@pytest.mark.parametrize(
    ("grammar", "keys", "queries"),
    [
        (load_grammar("names-far"), False, False),
        (load_grammar("streaming"), False, False),
        (Grammar("short", (Rule(UPOS, UPOS, Reach("words", -3, 0)), Rule(UPOS, ("PROPN",)))), True, False),
        (Grammar("own", (Rule(UPOS, UPOS, Reach("words", -9, 0)), Rule(("NOUN",), UPOS))), False, True),
        (load_grammar("paper"), True, True),
    ],
)
def test_tags_that_the_future_decided_are_told(grammar, keys, queries):
    said = warn_of_future(grammar, layers=LAYERS, heads=HEADS)
    assert ("within 4 words" in said, "own tag" in said) == (keys, queries)
    assert not said or f"of {LAYERS * HEADS} heads" in said
    assert reads_by_tags(grammar, layers=LAYERS, heads=HEADS) == (grammar.name != "streaming")


def test_distances_are_those_of_the_same_word_whatever_its_case():
    words = np.array([-1, 0, 1, 1, 2, 3, 4, -1, 5])
    text = CausalText(np.zeros_like(words), words, words)
    spelled = {0: "Ada", 1: "sailed", 2: "ada", 3: "x", 4: "ADA", 5: "Sailed"}
    found = [DISTANCES[code] for code in find_distances(text, spelled, near=2)]
    assert found == ["no word", "new", "new", "new", "within", "new", "within", "no word", "beyond"]


def test_sums_of_strata_add_up():
    rng = np.random.default_rng(0)
    losses, tags, distances = rng.random(50), rng.integers(0, 17, 50), rng.integers(0, 4, 50)
    sums, counts = sum_strata(losses, tags, distances)
    assert sums.shape == counts.shape == STRATA
    assert sums.sum() == pytest.approx(losses.sum())
    assert sums[3, 1] == pytest.approx(losses[(tags == 3) & (distances == 1)].sum())
    assert counts.sum() == 50


def losses(*by_text):
    """Rows of (tag, distance, loss, tokens) for each text."""
    sums, tokens = np.zeros((2, len(by_text), *STRATA))
    for number, cells in enumerate(by_text):
        for tag, distance, loss, count in cells:
            place = number, TAG_IDS[tag], DISTANCES.index(distance)
            sums[place], tokens[place] = loss, count
    return RowLosses(sums, tokens)


def test_differences_are_paired_by_text_and_weighed_by_tokens():
    one = losses([("PROPN", "new", 30.0, 10), ("VERB", "within", 8.0, 4)], [("VERB", "beyond", 12.0, 6)])
    other = losses([("PROPN", "new", 20.0, 10), ("VERB", "within", 8.0, 4)], [("VERB", "beyond", 9.0, 6)])
    found = summarise_losses(one)
    assert found["loss"] == pytest.approx(50 / 20)
    assert found["loss_by_tag"]["verbs"] == {"loss": 2.0, "tokens": 10}
    assert found["loss_by_tag"]["names"] == found["loss_by_tag"]["PROPN"]
    assert set(found["loss_by_tag"]) == {"PROPN", "VERB", "names", "verbs"}
    difference = compare_losses(one, other)
    assert difference["difference"]["mean"] == pytest.approx(13 / 20)
    assert difference["difference"]["low"] == pytest.approx(3 / 6)
    assert difference["difference"]["high"] == pytest.approx(10 / 14)
    assert difference["difference_by_tag"]["names"] == {"mean": 1.0, "low": None, "high": None}
    assert difference["difference_by_distance"]["beyond"]["mean"] == pytest.approx(0.5)
