"""BatchTagger in the engines of others: datasets, pandas frames as Spark hands them over, and pickled."""

import pickle

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from helpers.lexicon import LexiconTagger, annotator

import grammask
from grammask.errors import InputError

TEXTS = ["Cats sleep.", None, "", "A dog sleeps and a cat sees it."]


def test_datasets_map_adds_columns():
    tag = grammask.BatchTagger("en_core_web_sm")
    found = Dataset.from_dict({"text": TEXTS, "id": [0, 1, 2, 3]}).map(tag, batched=True, batch_size=1)
    assert found["tags"][0] == ["NOUN", "VERB", "PUNCT"]
    assert found["words"][3] == ["A", "dog", "sleeps", "and", "a", "cat", "sees", "it", "."]
    assert found["tags"][1] == found["words"][2] == []
    assert [bool(problem) for problem in found["problem"]] == [False, True, True, False]
    assert list(found["id"]) == [0, 1, 2, 3]


def test_its_hash_stays_the_same_when_it_is_used():
    tag = grammask.BatchTagger("en_core_web_sm")
    before = pickle.dumps(tag)
    tag({"text": ["Dogs bark."]})
    assert pickle.dumps(tag) == before
    assert pickle.loads(before)({"text": ["Dogs bark."]}) == tag({"text": ["Dogs bark."]})  # noqa: S301


def test_frames_are_mapped_as_spark_does():
    tag = grammask.BatchTagger(LexiconTagger())
    frames = [pd.DataFrame({"text": TEXTS, "id": range(4)}, index=[5, 6, 7, 8]), pd.DataFrame({"text": [], "id": []})]
    first, second = tag.in_pandas(iter(frames))
    assert list(first["id"]) == [0, 1, 2, 3]
    assert list(first.index) == [5, 6, 7, 8]
    for name, values in tag({"text": TEXTS}).items():
        assert list(first[name]) == values
    assert len(second) == 0
    assert [*first.columns] == [*second.columns]
    named = [column.split()[0] for column in tag.spark_schema.split(", ")]
    assert named == [*first.columns][2:]


def test_annotations_are_those_of_the_annotator():
    annotate = annotator()
    texts = ["a dog sees a cat .", "a dog ."]
    found = grammask.BatchTagger(annotate)({"text": texts})
    expected = annotate(texts)
    assert {*found} == {*expected, "problem"}
    for name, values in expected.items():
        assert found[name] == values


def test_wrong_columns_are_refused():
    tag = grammask.BatchTagger(LexiconTagger())
    with pytest.raises(InputError, match="no column 'text', but 'body'"):
        tag({"body": ["a"]})
    for column in ("tags", "problem", "", 5):
        with pytest.raises(InputError, match="column"):
            grammask.BatchTagger(LexiconTagger(), column=column)
    assert tag({"text": [float("nan"), np.str_("a dog"), 5, b"a"]})["problem"] == [
        "there is no text",
        "",
        "the text is no string but 5 (int)",
        "the text is no string but b'a' (bytes)",
    ]
