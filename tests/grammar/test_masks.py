"""The oracle equals the definition, pair by pair; attention under it equals attention over the allowed keys alone."""

import numpy as np
import pytest
import torch
from helpers.batches import random_batch, with_new_words
from helpers.strategies import grammars
from hypothesis import given, settings
from hypothesis import strategies as st

import grammask
from grammask.attention.density import MOST_WORDS, measure_density
from grammask.attention.inputs import Annotation
from grammask.attention.plan import Plan
from grammask.attention.reference import reference_attention
from grammask.errors import GrammarError, InputError
from grammask.grammar.masks import PairCounts, allowed_pairs, count_pairs, pair_strengths
from grammask.grammar.tables import compile_layers, compile_tables
from grammask.grammar.tags import CLS, NAMED, NEW, PAD, SEP, TAGS, UPOS
from grammask.tagging.tagger import TaggedText

batches = st.builds(
    lambda lengths, share, seed: with_new_words(random_batch(lengths, seed=seed), share, seed=seed),
    st.lists(st.integers(1, 12), min_size=1, max_size=3).map(tuple),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10_000),
)  # fmt: skip


def is_named(tag, named, *, as_new=True):
    """A word that is being generated may be any part of speech."""
    return any(other in named for other in UPOS) and as_new if tag == TAGS[NEW] else tag in named


def reaches(rule, i, j, words, sentences):
    if rule.reach.kind == "document":
        return True
    if rule.reach.kind == "sentence":
        return sentences[i] >= 0 and sentences[i] == sentences[j]
    return words[i] >= 0 and words[j] >= 0 and rule.reach.lo <= words[j] - words[i] <= rule.reach.hi


def by_definition(grammar, layer, head, tags, words, sentences):
    """Return allowed and strength of all pairs of one text, spelled out as the documentation does."""
    length = len(tags)
    allowed = [[False] * length for _ in range(length)]
    strength = [[0.0] * length for _ in range(length)]
    for i in range(length):
        for j in range(length):
            matching = [
                rule
                for rule in grammar.rules
                if rule.applies(layer, head)
                and is_named(tags[i], rule.query)
                and is_named(tags[j], rule.key, as_new=rule.reach.kind == "words")
                and reaches(rule, i, j, words, sentences)
            ]
            same_tag = grammar.same_tag and (tags[j] in UPOS if tags[i] == TAGS[NEW] else tags[i] == tags[j])
            allowed[i][j] = tags[j] != "[PAD]" and (
                i == j
                or (words[i] >= 0 and words[i] == words[j])
                or tags[j] in grammar.sinks
                or sum(tag != "[PAD]" for tag in tags[: j + 1]) <= grammar.sink_tokens
                or "[UNK]" in (tags[i], tags[j])
                or same_tag
                or any(rule.allow for rule in matching)
            )
            strength[i][j] = max([rule.strength for rule in matching] + [0.0] * same_tag, default=0.0)
    return allowed, strength


@settings(max_examples=150)
@given(grammars, batches, st.integers(0, 2))
def test_masks_equal_the_definition(grammar, batch, layer):
    tables = compile_tables(grammar, layer=layer, heads=3)
    allowed = allowed_pairs(tables, **batch.annotation).expand(-1, 3, -1, -1)
    strength = pair_strengths(tables, **batch.annotation).expand(-1, 3, -1, -1)
    for row in range(len(allowed)):
        tags = [TAGS[tag] for tag in batch.annotation["tag_ids"][row].tolist()]
        words, sentences = (batch.annotation[name][row].tolist() for name in ("word_ids", "sentence_ids"))
        for head in range(3):
            expected = by_definition(grammar, layer, head, tags, words, sentences)
            assert allowed[row, head].tolist() == expected[0]
            assert strength[row, head].tolist() == expected[1]


@pytest.mark.parametrize(("lo", "hi"), [(-2, 1), (0, 0), (1, 3), (-3, -3)])
def test_a_bounded_reach_counts_words_and_includes_both_ends(lo, hi):
    tag_ids = torch.tensor([[CLS, 7, 7, 7, 7, 7, 7, SEP]])
    word_ids = torch.tensor([[-1, 0, 1, 1, 2, 3, 4, -1]])  # the second word has two subwords
    grammar = grammask.Grammar("g", rules=(grammask.Rule(("NOUN",), ("NOUN",), grammask.Reach("words", lo, hi)),))
    allowed = allowed_pairs(compile_tables(grammar), tag_ids=tag_ids, word_ids=word_ids)[0, 0]
    words = word_ids[0].tolist()
    for i in range(8):
        for j in range(8):
            within = min(words[i], words[j]) >= 0 and (words[i] == words[j] or lo <= words[j] - words[i] <= hi)
            assert bool(allowed[i, j]) == (i == j or within), (i, j)


@pytest.mark.parametrize("strategy", ["hard", "soft"])
def test_rows_of_padding_follow_the_models_own_mask(strategy):
    grammar = grammask.Grammar("g", rules=(grammask.Rule(("NOUN", "[PAD]"), NAMED, strength=2.0),))
    batch = random_batch((9, 4))
    at = batch.annotation
    plan = Plan(
        Annotation(at["tag_ids"], at["word_ids"], at["sentence_ids"]),
        strategy=strategy,
        layer_tables=(compile_tables(grammar),),
    )
    real = at["tag_ids"] != PAD
    mask = plan.mask(0, real[:, None, None, :], torch.float32)
    assert not mask[1, 0, 4:, :4].any()
    mask = ~mask.isneginf()
    assert torch.equal(mask[1, 0, 4:], real[1].expand(5, 9))
    assert not mask[1, 0, :4, 4:].any()


@settings(max_examples=60)
@given(grammars, batches, st.sampled_from(["full", "hard", "soft"]))
def test_attention_equals_a_loop_over_the_allowed_keys(grammar, batch, strategy):
    generator = torch.Generator().manual_seed(0)
    size = (*batch.annotation["tag_ids"].shape, 3, 8)
    query, key, value = (torch.randn(size, generator=generator).transpose(1, 2) for _ in range(3))
    found = grammask.grammar_attention(
        query, key, value, **batch.annotation, grammar=grammar, strategy=strategy,
        attention_mask=batch.inputs["attention_mask"],
    )  # fmt: skip
    for row in range(len(query)):
        tags = [TAGS[tag] for tag in batch.annotation["tag_ids"][row].tolist()]
        words, sentences = (batch.annotation[name][row].tolist() for name in ("word_ids", "sentence_ids"))
        for head in range(3):
            allowed, strength = by_definition(grammar, 0, head, tags, words, sentences)
            for i, tag in enumerate(tags):
                if tag == "[PAD]":
                    continue
                keys = [j for j in range(len(tags)) if tags[j] != "[PAD]" and (strategy != "hard" or allowed[i][j])]
                bias = torch.tensor([strength[i][j] if strategy == "soft" else 0.0 for j in keys])
                scores = key[row, head, keys] @ query[row, head, i] / 8**0.5 + bias
                expected = scores.softmax(0) @ value[row, head, keys]
                torch.testing.assert_close(found[row, head, i], expected, atol=1e-5, rtol=1e-5)


def test_reference_attention_equals_sdpa_values_and_gradients():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, 7, 4, generator=generator, requires_grad=True) for _ in range(3))
    mask = torch.rand(2, 1, 7, 7, generator=generator) < 0.6
    mask |= torch.eye(7, dtype=torch.bool)
    output, weights = reference_attention(query, key, value, mask, scale=0.5)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.5)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights @ value, output)
    for found, wanted in zip(
        torch.autograd.grad(output.sum(), (query, key, value)),
        torch.autograd.grad(expected.sum(), (query, key, value)),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_counts_leave_out_padding_and_tell_words_apart():
    batch = random_batch((5, 3))
    tags, words = batch.annotation["tag_ids"], batch.annotation["word_ids"]
    everything = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    assert count_pairs(everything, tag_ids=tags, word_ids=words) == PairCounts(34, 34, 10, 10)
    diagonal = torch.eye(5, dtype=torch.bool).expand(2, 1, 5, 5)
    counts = count_pairs(diagonal, tag_ids=tags, word_ids=words)
    assert counts == PairCounts(8, 34, 4, 10)
    assert counts.density == 8 / 34
    assert (counts + counts).word_density == 0.4


@pytest.mark.parametrize("before", [0, 3])
def test_sink_tokens_are_the_first_real_ones_whatever_their_tags(before):
    tags = torch.tensor([[PAD] * before + [CLS, 7, 7, 15, SEP] + [PAD] * (3 - before)])
    words = torch.tensor([[-1] * before + [-1, 0, 0, 1, -1] + [-1] * (3 - before)])
    (table,) = tables = compile_tables(grammask.Grammar("g", sink_tokens=2))
    assert table.sink_tokens == 2
    allowed = allowed_pairs(tables, tag_ids=tags, word_ids=words)[0, 0, :, before : before + 5]
    assert allowed[before : before + 5].long().tolist() == [
        [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [1, 1, 0, 0, 1],
    ]  # fmt: skip
    assert not pair_strengths(tables, tag_ids=tags, word_ids=words).any()


def test_only_the_document_reach_holds_sink_tokens_in_every_layer():
    rules = (grammask.Rule(("NOUN",), ("VERB",), [0, 3]), grammask.Rule(("NOUN",), ("VERB",), "sentence", layers=[1]))
    for tables in compile_layers(grammask.Grammar("g", rules, sink_tokens=5), layers=3, heads=2):
        assert [table.sink_tokens for table in tables] == [5, 0, 0]
        assert [table.to(torch.device("cpu")).sink_tokens for table in tables] == [5, 0, 0]


def attend(**changes):
    batch = random_batch((6, 4))
    query = torch.randn(2, 3, 6, 8)
    arguments = {**batch.annotation, "attention_mask": batch.inputs["attention_mask"], "grammar": "paper", **changes}
    return grammask.grammar_attention(query, query, query, **arguments)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"tag_ids": None}, InputError, "tag_ids is missing"),
        ({"tag_ids": [[1]]}, InputError, "must be an integer tensor .* but is list"),
        ({"tag_ids": torch.zeros(2, 6)}, InputError, "tag_ids must hold integers, but has dtype torch.float32"),
        (
            {"tag_ids": torch.zeros(2, 5).long()},
            InputError,
            r"tag_ids has shape \(2, 5\), but the batch has shape \(2, 6\)",
        ),
        ({"tag_ids": torch.full((2, 6), 22)}, InputError, "tag_ids holds 22, but must hold 0 to 21"),
        ({"word_ids": torch.full((2, 6), -2)}, InputError, "word_ids holds -2, but must hold -1 to 268435455"),
        ({"grammar": "nothing"}, GrammarError, "no grammar 'nothing'"),
        ({"strategy": "gentle"}, GrammarError, "unknown strategy 'gentle'; strategies are: full, hard, soft"),
        ({"attention_mask": None}, InputError, "there is no attention_mask"),
        (
            {"attention_mask": torch.ones(2, 6)},
            InputError,
            "disagree at text 1, token 4: the tag is .PAD., attention_mask is 1",
        ),
    ],
)
def test_wrong_input_is_named(changes, kind, message):
    with pytest.raises(kind, match=message):
        attend(**changes)


def test_sentence_ids_are_asked_for_only_where_a_rule_needs_them():
    attend(sentence_ids=None)
    rule = grammask.Rule(("NOUN",), ("VERB",), grammask.Reach("sentence"))
    with pytest.raises(InputError, match="sentence_ids is missing"):
        attend(sentence_ids=None, grammar=grammask.Grammar("g", rules=(rule,)))


def test_padding_reads_what_the_model_lets_it_read():
    batch = random_batch((6, 4))
    assert (batch.annotation["tag_ids"][1, 4:] == PAD).all()
    assert torch.isfinite(attend()).all()


def test_density_counts_every_pair_of_a_long_text_and_says_where_it_ends():
    def text(words):
        places = np.arange(words, dtype=np.int32)
        return TaggedText(places, places + 1, places % 2, places // 2)

    grammar = grammask.load_grammar("neighbours")
    counts = measure_density(grammar, [text(1_000)], layers=2, heads=3)
    assert counts.word_pairs == 2 * 1_000**2  # the heads of a layer agree, and count once
    with pytest.raises(InputError, match="text 2 has 5,001 words, .*at most 5,000 words a text"):
        measure_density(grammar, [text(3), text(MOST_WORDS + 1)], layers=1, heads=1)
