"""What heads may read far: masks and costs against the pairs that the grammar of a choice allows."""

import numpy as np
import pytest
import torch
from helpers.long_texts import long_text
from hypothesis import given, settings
from hypothesis import strategies as st

import grammask
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.tables import compile_tables
from grammask.induce.far_costs import FarCosts
from grammask.induce.far_grammar import far_grammar
from grammask.induce.far_reads import FULL, NEAR, NEAR_NAMED, READS, WIDE, WIDE_NAMED, Windows, masks_of_reads

reads_of_heads = st.lists(st.integers(0, READS - 1), min_size=6, max_size=6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("first", [0, 17])
def test_masks_are_the_pairs_that_the_grammar_allows(seed, first):
    text, windows = long_text(40, seed=seed), Windows(near=3, wide=9)
    choice = np.arange(READS).reshape(1, READS)
    tables = compile_tables(far_grammar(choice, windows, name="each"), heads=READS)
    allowed = allowed_pairs(tables, tag_ids=text.tag_ids, word_ids=text.word_ids)[0]
    masks = masks_of_reads(text.tag_ids[0], text.word_ids[0], windows, first)
    assert torch.equal(masks, allowed.expand(READS, -1, -1).tril()[:, first:])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 25), st.integers(0, 25), reads_of_heads, st.booleans())
def test_costs_are_those_of_the_grammar(words, near, more, reads, named):
    """Counted on a text of nothing but names, or without any: their share is the same at every distance."""
    tags = torch.full((1, words), grammask.TAGS.index("PROPN" if named else "VERB"))
    choice, windows = np.array(reads).reshape(1, 6), Windows(near, near + more)
    grammar = far_grammar(choice, windows, name="found")
    tables = compile_tables(grammask.Grammar("found", grammar.rules), heads=6)  # without sinks
    allowed = allowed_pairs(tables, tag_ids=tags, word_ids=torch.arange(words)[None])[0].tril()
    pairs = words * (words + 1) / 2
    costs = FarCosts(words, float(named))
    assert costs.pairs(choice, windows) == pytest.approx(float(allowed.sum()) / len(allowed) / pairs)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 3_000), st.floats(0, 0.3), st.integers(1, 80), st.floats(0.001, 1.0), reads_of_heads)
def test_the_widest_windows_meet_the_budget(words, names, near, budget, reads):
    costs, choice = FarCosts(words, names), np.array(reads).reshape(1, 6)
    windows = costs.widest(choice, near, budget)
    if windows is None:
        assert near > words or costs.pairs(choice, Windows(near, near)) > budget
        return
    assert windows.near == near <= windows.wide
    assert costs.pairs(choice, windows) <= budget
    assert windows.wide == words or costs.pairs(choice, Windows(near, windows.wide + 1)) > budget


def test_a_cache_keeps_what_any_head_of_a_key_head_reads():
    costs, windows = FarCosts(100, 0.1), Windows(10, 40)
    choice = np.array([[NEAR, NEAR_NAMED, NEAR, NEAR, WIDE, NEAR_NAMED, WIDE_NAMED, NEAR, FULL, NEAR]])
    kept = (0.1 + 0.9 * 0.1, 0.1, 0.4 + 0.6 * 0.1, 0.4 + 0.6 * 0.1, 1.0)
    assert costs.keys(choice, windows, 5) == pytest.approx(np.mean(kept))


@pytest.mark.parametrize("name", ["smollm2-far", "smollm2-heads"])
def test_shipped_grammars_fit_smollm2_and_generation(name):
    grammar = grammask.load_grammar(name)
    grammar.check_fits(layers=30, heads=9)
    assert grammar.sink_tokens == 4
    assert {rule.reach.kind for rule in grammar.rules} == {"document", "words"}
