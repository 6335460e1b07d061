"""FlexAttention's blocks: those left out hold no pair that may be read, and full ones no other pair."""

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEADS, oracle_mask
from helpers.batches import Batch, left_padded, random_batch, with_new_words
from helpers.strategies import grammars
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_mask

from grammask.attention.blocks.lookup import compile_lookup
from grammask.attention.flex.calls import FlexCalls
from grammask.attention.flex.pair_functions import mask_function
from grammask.attention.flex.side import BLOCK
from grammask.attention.inputs import Annotation
from grammask.attention.position_mask import FREE, PositionMask
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import PAD, UPOS

POSITIONS = (FREE, PositionMask(causal=True), PositionMask(window=(3, 200)), PositionMask(True, (150, 0)))
positions = st.sampled_from(POSITIONS)


def flex_calls(grammar, strategy, batch, position=FREE, queries=None):
    tables = compile_tables(grammar, heads=HEADS)
    tags = batch.annotation["tag_ids"]
    calls = FlexCalls(Annotation(**batch.annotation), strategy, None)
    return calls.of(tables, compile_lookup(tables).reaches, position, queries or tags.shape[1])


def listed(counts, indices, shape):
    """Return the blocks of lists as a bool map (batch, heads, blocks of rows, blocks of columns)."""
    found = torch.zeros(*indices.shape[:3], shape[1] // BLOCK, dtype=torch.bool)
    return found.scatter(3, indices.long(), torch.arange(indices.shape[3]) < counts[..., None])


def pair_maps(call, queries, length):
    """Return which pairs a call's lists read without a mask, and under one: bool (batch, heads, queries, keys)."""
    rows, columns = -(-queries // BLOCK) * BLOCK, -(-length // BLOCK) * BLOCK
    maps, lists = [], call.blocks._asdict()
    for part in ("full_", ""):
        by_rows = listed(lists[f"{part}kv_num_blocks"], lists[f"{part}kv_indices"], (rows, columns))
        by_keys = listed(lists[f"{part}q_num_blocks"], lists[f"{part}q_indices"], (columns, rows))
        assert torch.equal(by_rows, by_keys.transpose(2, 3))  # the backward pass walks the same blocks
        maps.append(by_rows.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)[:, :, :queries, :length])
    return maps


def check_blocks(grammar, strategy, batch, position, queries=None):
    """Check the lists of each call against its own mask, and all masks together against the oracle's."""
    tags = batch.annotation["tag_ids"]
    length = tags.shape[1]
    queries = queries or length
    real = (tags != PAD)[:, None, -queries:, None]
    mask = oracle_mask(grammar, strategy, batch, position=position, queries=queries)
    wanted = ((mask if mask.dtype == torch.bool else ~mask.isneginf()) & real).expand(-1, HEADS, -1, -1)
    read = torch.zeros_like(wanted, dtype=torch.int64)
    for call in flex_calls(grammar, strategy, batch, position, queries):
        own = create_mask(mask_function(call.kind, call.tensors), len(tags), HEADS, queries, length, device="cpu")
        if call.rows is None:
            of_queries, in_order = real, own
        else:
            of_queries = real[:, 0, :, 0].gather(1, call.rows.places)[:, None, :, None]
            in_order = own.gather(2, call.rows.reverse[:, None, :, None].expand_as(own))
            in_order = in_order.gather(3, call.keys.reverse[:, None, None, :].expand_as(own))
        full, masked = pair_maps(call, queries, length)
        assert not (full & ~own).any()
        assert not (full & masked).any()
        assert not (own & of_queries & ~(full | masked)).any()
        read += in_order & real
    assert torch.equal(read, wanted.long())


@settings(max_examples=25)
@given(
    grammars,
    st.lists(st.integers(1, 300), min_size=1, max_size=2).map(tuple),
    st.integers(0, 10_000),
    st.sampled_from(["hard", "soft"]),
    positions,
)
def test_no_pair_that_may_be_read_is_in_a_block_that_is_left_out(grammar, lengths, seed, strategy, position):
    check_blocks(grammar, strategy, random_batch(lengths, seed=seed), position)


@pytest.mark.parametrize("name", GRAMMARS)
def test_blocks_hold_every_pair_of_each_kind_of_grammar(name):
    batch = with_new_words(random_batch((400, 140)), 0.2)
    check_blocks(GRAMMARS[name], "hard", batch, POSITIONS[0])
    check_blocks(GRAMMARS[name], "hard", left_padded(batch), POSITIONS[1], queries=130)


def test_words_whose_tokens_have_different_tags_are_read_whole():
    batch = random_batch((300,), seed=3)
    generator = torch.Generator().manual_seed(0)
    batch.annotation["tag_ids"][0, 1:-1] = torch.randint(0, 17, (298,), generator=generator)
    batch.annotation["word_ids"][0, 1:-1] = torch.randint(0, 40, (298,), generator=generator)
    for name in ("sorted", "sorted, no tag reads itself", "mixed", "banded"):
        check_blocks(GRAMMARS[name], "hard", batch, FREE)


def test_wide_reach_is_full_but_for_sinks_and_what_another_call_reads():
    words = 2 * BLOCK + BLOCK // 3
    tags = torch.full((1, 4 * BLOCK), UPOS.index("NOUN"))
    tags[0, words] = UPOS.index("PROPN")
    numbers = torch.arange(4 * BLOCK)[None]
    batch = Batch({}, {"tag_ids": tags, "word_ids": numbers, "sentence_ids": torch.zeros_like(tags)})
    near = Rule(UPOS, UPOS, Reach("words", -words, words))
    grammar = Grammar("wide", rules=(near, Rule(("PROPN",), ("PROPN",))), sink_tokens=4, same_tag=False)
    check_blocks(grammar, "hard", batch, FREE)
    nearby, _ = flex_calls(grammar, "hard", batch)
    masked, full = nearby.blocks.kv_num_blocks.tolist(), nearby.blocks.full_kv_num_blocks.tolist()
    assert full == [[[1, 2, 2, 2]]]  # blocks within reach, without the first tokens and the pair of names
    assert masked == [[[3, 2, 2, 2]]]
