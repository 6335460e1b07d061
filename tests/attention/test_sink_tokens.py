"""Sink tokens: whatever the batch, its padding and the call, attention equals that of the oracle."""

from dataclasses import replace

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEADS, compare, fitting_backends
from helpers.batches import random_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from grammask.attention.dense import dense_mask
from grammask.attention.inputs import Annotation
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import PAD

named = pytest.mark.parametrize("name", GRAMMARS)


def padded_before(batch):
    """Return the batch with the padding of each text in front of it."""
    shifts = (batch.annotation["tag_ids"] == PAD).sum(1).tolist()
    moved = {
        name: torch.stack([row.roll(shift) for row, shift in zip(ids, shifts, strict=True)])
        for name, ids in (batch.annotation | batch.inputs).items()
    }
    return replace(batch, inputs={name: moved[name] for name in batch.inputs}, annotation={
        name: moved[name] for name in batch.annotation
    })  # fmt: skip


@named
@pytest.mark.parametrize("strategy", ["hard", "soft"])
@pytest.mark.parametrize(("lengths", "count"), [((2, 1, 65), 4), ((150, 7), 90), ((97,), 1)], ids=str)
def test_every_length_and_both_paddings_equal_the_oracle(name, strategy, lengths, count):
    grammar, batch = replace(GRAMMARS[name], sink_tokens=count), random_batch(lengths)
    for padded in (batch, padded_before(batch)):
        compare(grammar, strategy, padded, *fitting_backends(grammar, strategy))


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(GRAMMARS)),
    st.lists(st.integers(1, 20), min_size=1, max_size=3).map(tuple),
    st.integers(0, 10_000),
    st.integers(0, 25),
)
def test_the_dense_mask_equals_the_oracle(name, lengths, seed, count):
    batch = padded_before(random_batch(lengths, seed=seed))
    annotation = Annotation(**batch.annotation)
    tables = compile_tables(replace(GRAMMARS[name], sink_tokens=count), heads=HEADS)
    wanted = allowed_pairs(tables, **batch.annotation)
    assert dense_mask(tables, annotation).equal(wanted)
    assert dense_mask(tables, annotation, rows=slice(1, 9)).equal(wanted[:, :, 1:9])


def test_soft_takes_its_blocks_as_without_sink_tokens():
    batch = random_batch((90, 41))
    compare(replace(GRAMMARS["mixed"], sink_tokens=4), "soft", batch, "biased")
