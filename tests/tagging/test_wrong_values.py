"""Whatever a public call of annotators is given, it works or says in one line what is wrong."""

from copy import copy, deepcopy
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.tokenizers_for_tests import PatternTagger, tokenizer

import grammask
from grammask.errors import GrammaskError, InputError
from grammask.tagging.subwords.subword_tagger import SubwordTagger

VALUES = [
    None, 0, -1, True, 1.5, float("nan"), 10**5000, -(10**5000), "", "a film", b"ab", object(), int, Ellipsis, [],
    (), {}, {"a": 1}, set(), range(3), iter(["a"]), [[]], [[[]]], ["a", "film"], [["a", "film"]], [[["a"]]], [1, 2],
    [[1, 2]], [None], [[None, "a"]], ["a", None], ["a", ["b"]], [["a"], "b"], [["a"], None], [["a"], 3], [b"a"],
    [[b"a"]], [["\ud800", "b"]], [[True, False]], [[0, 0]], [[0, 1.5]], [[0, -1]], [[2**70, 0]], ["NOUN", "X"],
    [["NOUN", 1]], np.array("a"), np.array([1, 2]), np.array([["a", "b"]]), np.array(["a", None], dtype=object),
    np.float64(1), torch.tensor(1), torch.tensor([1, 2]), torch.tensor([[1, 2]]), torch.tensor([[0.5, 2]]),
    pd.DataFrame({"a": ["b"]}),
]  # fmt: skip
WORDS = [["a", "film"]]


@pytest.fixture(scope="module")
def annotate():
    made = deepcopy(tokenizer("wordpiece"))
    made.chat_template = "{% for said in messages %}{{ said['role'] }}: {{ said['content'] }} {% endfor %}"
    return grammask.Annotator(made, PatternTagger(), cache=False)


def features_with(annotate, column, value):
    rows = annotate("a film").data
    return [{**{name: row[0] for name, row in rows.items()}, column: value}]


OPTIONS = (
    "is_split_into_words", "padding", "truncation", "stride", "add_special_tokens", "pad_to_multiple_of",
    "padding_side", "return_attention_mask", "return_overflowing_tokens", "return_offsets_mapping", "return_coverage",
    "verbose", "max_length", "return_tensors",
)  # fmt: skip
PAD_OPTIONS = ("padding", "max_length", "pad_to_multiple_of", "padding_side", "return_attention_mask", "return_tensors")
COLUMNS = ("input_ids", "attention_mask", "tag_ids", "word_ids", "sentence_ids")
TAGGED = list(PatternTagger().tag(["a film"]))
CALLS = {
    "texts": lambda annotate, value: annotate(value),
    "pairs": lambda annotate, value: annotate("a", value),
    "text": lambda annotate, value: annotate(text=value),
    "text_pair": lambda annotate, value: annotate(text="a", text_pair=value),
    "words": lambda annotate, value: annotate(value, is_split_into_words=True),
    "words of a pair": lambda annotate, value: annotate(WORDS, value, is_split_into_words=True),
    "words of one pair": lambda annotate, value: annotate(WORDS[0], value, is_split_into_words=True),
    "sentences of tags": lambda annotate, value: annotate(
        WORDS, is_split_into_words=True, tags=[["DET", "NOUN"]], sentence_ids=value
    ),
    "read": lambda annotate, value: annotate.read(value),
    "join": lambda annotate, value: annotate.join(value, None, TAGGED, None),
    "join tags": lambda annotate, value: annotate.join(["a film"], None, value, None),
    "join tags of pairs": lambda annotate, value: annotate.join(["a film"], ["a film"], TAGGED, value),
    "pad": lambda annotate, value: annotate.pad(value),
    "collate": lambda annotate, value: grammask.Collator(annotate)(value),
    "chat": lambda annotate, value: annotate.chat(value),
    "chats": lambda annotate, value: annotate.chat([[{"role": "user", "content": "a"}], value]),
    "message": lambda annotate, value: annotate.chat([value]),
    "content": lambda annotate, value: annotate.chat([{"role": "user", "content": value}]),
    "template": lambda annotate, value: annotate.apply_chat_template([value]),
    "tensors of a template": lambda annotate, value: annotate.apply_chat_template(
        [{"role": "user", "content": "a"}], return_tensors=value
    ),
    "tokenizer": lambda _, value: grammask.Annotator(value, PatternTagger(), cache=False),
    "tagger": lambda annotate, value: grammask.Annotator(annotate.tokenizer, value, cache=False),
}
for name in ("spaces", "tags", "sentence_ids"):
    for words in (WORDS, WORDS[0]):
        CALLS[f"{name} of {words}"] = lambda annotate, value, name=name, words=words: annotate(
            words, is_split_into_words=True, **{name: value}
        )
for name in OPTIONS:
    CALLS[name] = lambda annotate, value, name=name: annotate(["a film", "a"], **{"return_tensors": "pt", name: value})
for name in PAD_OPTIONS:
    CALLS[f"pad {name}"] = lambda annotate, value, name=name: annotate.pad(annotate(["a film", "a"]), **{name: value})
for name in COLUMNS:
    CALLS[f"pad {name} column"] = lambda annotate, value, name=name: annotate.pad(features_with(annotate, name, value))
    CALLS[f"pad {name} cells"] = lambda annotate, value, name=name: annotate.pad(
        features_with(annotate, name, [value] * 4), return_tensors="pt"
    )
    CALLS[f"collate {name} column"] = lambda annotate, value, name=name: grammask.Collator(annotate)(
        features_with(annotate, name, value)
    )
    CALLS[f"collate {name} cells"] = lambda annotate, value, name=name: grammask.Collator(annotate)(
        features_with(annotate, name, [value] * 4)
    )
for name in ("strict", "max_length", "cache"):
    CALLS[f"Annotator {name}"] = lambda annotate, value, name=name: grammask.Annotator(
        annotate.tokenizer, PatternTagger(), **{"cache": False, name: value}
    )
CALLS["Annotator sentences"] = lambda annotate, value: grammask.Annotator(annotate.tokenizer, sentences=value)


def said_of(call):
    """Return what a call is refused with, empty where it works; only errors of this package are refusals."""
    try:
        call()
    except GrammaskError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("call", CALLS)
def test_values_of_every_kind_work_or_are_refused(annotate, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a text may name a cache
    said = [said_of(partial(CALLS[call], annotate, copy(value))) for value in VALUES]
    assert [one for one in said if "\n" in one or len(one) > 800] == []


def test_tokens_are_tensors():
    tagger = SubwordTagger.load("english-subwords")
    for value in VALUES:
        said_of(partial(tagger.tag_tokens, value))
        said_of(partial(tagger.tag_tokens, torch.tensor([[1, 2]]), value))
    with pytest.raises(InputError, match=r"input_ids must be a tensor \(batch, length\).*but is \[\[1, 2\]\] \(list\)"):
        tagger.tag_tokens([[1, 2]])
