"""A model's own causality and windows, ANDed with every grammar, held against the oracle pair by pair."""

import numpy as np
import pytest
import torch
from helpers.attention_calls import GRAMMARS, WORDS, compare, draw, fitting_backends, short_chunks
from helpers.batches import left_padded, random_batch
from helpers.strategies import grammars
from hypothesis import given, settings
from hypothesis import strategies as st

import grammask
from grammask.attention.position_mask import FREE, PositionMask, check_position_mask
from grammask.attention.reference import reference_attention
from grammask.errors import InputError
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import UPOS

MASKS = {
    "causal": PositionMask(causal=True),
    "window": PositionMask(window=(4, 7)),
    "causal window": PositionMask(causal=True, window=(6, 3)),
    "itself": PositionMask(window=(0, 0)),
    "left": PositionMask(window=(3, 500)),
    "right": PositionMask(window=(500, 3)),
}
sides = st.integers(0, 60)
position_masks = st.builds(PositionMask, st.booleans(), st.none() | st.tuples(sides, sides))


@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.usefixtures("width")
def test_every_backend_equals_the_oracle(name, mask, strategy):
    grammar, batch = GRAMMARS[name], random_batch((31, 12, 1), seed=3)
    backends = fitting_backends(grammar, strategy)
    compare(grammar, strategy, batch, *backends, position=MASKS[mask])
    compare(grammar, strategy, left_padded(batch), backends[-1], position=MASKS[mask], queries=17)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("reader", ["[CLS]", "NOUN"])
def test_far_keys_of_most_queries(mask, reader, monkeypatch):
    """What nearly all queries read at any distance, and sinks, are in the windows and in rectangles around them."""
    short_chunks(monkeypatch, 5, views=False)
    words = tuple(tag for tag in UPOS if tag != reader)
    rules = (
        Rule(WORDS, WORDS, Reach("words", -2, 3)), Rule(words, ("NOUN", "PROPN", "ADJ")), Rule((reader,), ("VERB",)),
    )  # fmt: skip
    grammar = Grammar("far", rules=rules, sinks=("[SEP]",), sink_tokens=2)
    for batch in (random_batch((64, 33, 2), seed=5), left_padded(random_batch((50, 20), seed=6))):
        compare(grammar, "hard", batch, "mixed", position=MASKS[mask])


@given(
    grammar=grammars,
    position=position_masks,
    strategy=st.sampled_from(["hard", "soft"]),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    left=st.booleans(),
    key_heads=st.sampled_from([1, 3]),
    share=st.floats(0, 1),
    chunk=st.sampled_from([None, 4]),
    views=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_any_grammar_mask_padding_and_heads(
    grammar, position, strategy, lengths, left, key_heads, share, chunk, views, seed
):
    batch = random_batch(tuple(lengths), seed=seed)
    batch = left_padded(batch) if left else batch
    queries = max(1, round(share * max(lengths)))
    with pytest.MonkeyPatch.context() as patch:
        if chunk is not None:
            short_chunks(patch, chunk, views=views)
        backends = fitting_backends(grammar, strategy)
        compare(grammar, strategy, batch, *backends, position=position, queries=queries, key_heads=key_heads)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-5), (torch.bfloat16, 5e-2), (torch.float16, 1e-2)])
@pytest.mark.parametrize("mask", ["causal", "window"])
@pytest.mark.parametrize("name", ["sorted", "mixed", "a band for each head"])
def test_dtypes(name, mask, dtype, close):
    for strategy in ("hard", "soft"):
        compare(
            GRAMMARS[name], strategy, random_batch((150, 33)), *fitting_backends(GRAMMARS[name], strategy),
            position=MASKS[mask], dtype=dtype, atol=close, to_grad=max(1e-4, 4 * close), key_heads=1,
        )  # fmt: skip


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", ["sorted", "mixed", "banded"])
@pytest.mark.usefixtures("width")
def test_dropped_weights_are_the_same_forward_and_backward(name, mask):
    """With dropout the output is linear in the values: its gradient tells which weights were kept."""
    batch = random_batch((40, 9))
    position = MASKS[mask]
    for strategy in ("hard", "soft"):
        for backend in fitting_backends(GRAMMARS[name], strategy)[2:]:
            query, key, value, weight = draw(batch)

            def attend(value, query=query, key=key, strategy=strategy, backend=backend):
                torch.manual_seed(7)
                return grammask.grammar_attention(
                    query, key, value, **batch.annotation, grammar=GRAMMARS[name], strategy=strategy, dropout=0.4,
                    attention_mask=batch.inputs["attention_mask"], causal=position.causal, window=position.window,
                    backend=backend,
                )  # fmt: skip

            output = attend(value)
            (gradient,) = torch.autograd.grad((output * weight).sum(), value)
            torch.testing.assert_close((gradient * value).sum(), (output * weight).sum())
            assert not torch.equal(output, attend(value * 0))


@pytest.mark.parametrize("mask", ["causal", "window"])
@pytest.mark.usefixtures("width")
def test_blocks_are_never_n_by_n(mask):
    """What blocks compute under a narrow window grows with the length, under causality with the allowed pairs."""
    counts = []
    for length in (400, 800):
        batch = random_batch((length,), seed=1)
        plan = grammask.make_plan(grammask.load_grammar("paper"), **batch.annotation)
        groups = plan.block_groups(0, MASKS[mask])
        assert not any(block.pairs == length**2 for group in groups for block in group.blocks)
        counts.append(sum(block.pairs for group in groups for block in group.blocks))
    assert counts[1] < counts[0] * (2.2 if mask == "window" else 4.2)


def test_a_window_over_the_whole_text_is_none():
    batch = random_batch((30,))
    plan = grammask.make_plan("paper", **batch.annotation)
    wide, free = plan.block_groups(0, PositionMask(window=(30, 30))), plan.block_groups(0)
    assert [block.pairs for group in wide for block in group.blocks] == [
        block.pairs for group in free for block in group.blocks
    ]


def test_what_all_may_read_shares_one_mask():
    """A grammar that allows everything under a window: every chunk but those at the ends has the same mask."""
    grammar = grammask.Grammar("all", rules=(grammask.Rule(grammask.TAGS[:17], grammask.TAGS[:17]),), sinks=("[CLS]",))
    tag_ids = torch.zeros(1, 2048, dtype=torch.long)
    plan = grammask.make_plan(grammar, tag_ids=tag_ids)
    (group,) = plan.block_groups(0, PositionMask(window=(64, 64)))
    assert len(group.blocks) > 8
    assert len({block.bias.data_ptr() for block in group.blocks[4:-4]}) == 1


@pytest.mark.parametrize("causal", [1, None, "yes"])
def test_causal_is_a_truth_value(causal):
    with pytest.raises(InputError, match="causal must be True or False"):
        check_position_mask(causal, None)


@pytest.mark.parametrize("window", [5, (1,), (1, 2, 3), (-1, 2), (1.5, 2), (True, 1), "ab", (1, 1 << 30)])
def test_a_window_is_two_whole_numbers(window):
    with pytest.raises(InputError, match="window"):
        check_position_mask(False, window)


@given(mask=position_masks, places=st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True).map(sorted))
def test_bounds_say_what_pairs_say(mask, places):
    allowed = mask.allowed(31, 31, torch.device("cpu")).numpy()[np.ix_(places, places)]
    opens, closes = mask.bounds(np.array(places))
    index = np.arange(len(places))
    assert (allowed == ((index >= opens[:, None]) & (index < closes[:, None]))).all()


def test_a_free_mask_is_no_mask():
    assert FREE.is_free
    assert not MASKS["causal"].is_windowed
    assert bool(FREE.allowed(2, 5, torch.device("cpu")).all())


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("queries", [13, 4])
def test_full_attention_is_causal_and_windowed_too(mask, queries):
    batch, position = random_batch((13, 7)), MASKS[mask]
    query, key, value, _ = draw(batch)
    query = query[:, :, -queries:]
    found = grammask.grammar_attention(
        query, key, value, **batch.annotation, grammar="paper", strategy="full", causal=position.causal,
        attention_mask=batch.inputs["attention_mask"], window=position.window,
    )  # fmt: skip
    own = position.allowed(queries, 13, query.device) & batch.inputs["attention_mask"].bool()[:, None, None]
    expected, _ = reference_attention(query, key, value, own, scale=query.shape[-1] ** -0.5)
    torch.testing.assert_close(found, expected)
