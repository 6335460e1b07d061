"""Counted pairs are those of the oracle's mask, however few queries are looked up at a time."""

from dataclasses import replace

import pytest
import torch
from helpers.attention_calls import GRAMMARS, HEADS
from helpers.batches import random_batch
from helpers.tokenizers_for_tests import PatternTagger

from grammask.attention import density
from grammask.attention.dense import dense_mask
from grammask.attention.inputs import Annotation
from grammask.grammar.masks import PairCounts, allowed_pairs, count_pairs
from grammask.grammar.tables import compile_layers

LAYERS = 2


FIRST = {name: replace(grammar, sink_tokens=count) for count, (name, grammar) in enumerate(GRAMMARS.items())}


@pytest.mark.parametrize("tile", [1, 7 * 62, 1 << 22], ids=["one query", "seven queries", "all queries"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_pairs_counted_in_tiles_are_those_of_the_mask(monkeypatch, name, tile):
    monkeypatch.setattr(density, "_TILE", tile)
    ids = random_batch((31, 12)).annotation
    layer_tables = compile_layers(FIRST[name], layers=LAYERS, heads=HEADS)
    expected = PairCounts()
    for tables in layer_tables:
        expected += count_pairs(allowed_pairs(tables, **ids), tag_ids=ids["tag_ids"], word_ids=ids["word_ids"])
    assert density.count_layers(layer_tables, Annotation(**ids)) == expected
    assert expected.pairs == LAYERS * len(layer_tables[0][0].allowed) * (31**2 + 12**2)


@pytest.mark.parametrize("name", GRAMMARS)
def test_the_pairs_of_a_causal_model_are_those_of_the_mask_before_the_reader(name):
    (text,) = PatternTagger().tag(["A dog barks. It sleeps, though not now; he says so. " * 2])
    counts = density.measure_causal_density(FIRST[name], [text, text], layers=LAYERS, heads=HEADS)
    ids = {
        "tag_ids": torch.from_numpy(text.tag_ids).long()[None], "word_ids": torch.arange(len(text))[None],
        "sentence_ids": torch.from_numpy(text.sentence_ids).long()[None],
    }  # fmt: skip
    masks = [allowed_pairs(tables, **ids).tril() for tables in compile_layers(FIRST[name], layers=LAYERS, heads=HEADS)]
    assert counts.allowed == counts.word_allowed == 2 * sum(int(mask.sum()) for mask in masks)
    heads = sum(mask.shape[1] for mask in masks)
    assert counts.pairs == counts.word_pairs == 2 * heads * len(text) * (len(text) + 1) // 2


@pytest.mark.parametrize("name", GRAMMARS)
def test_some_rows_of_a_mask_are_those_of_the_whole(name):
    annotation = Annotation(**random_batch((31, 12)).annotation)
    (tables,) = compile_layers(FIRST[name], layers=1, heads=HEADS)
    whole = dense_mask(tables, annotation)
    assert dense_mask(tables, annotation, rows=slice(5, 17)).equal(whole[:, :, 5:17])
