"""What callers hand to the Annotator and the Collator, and what taggers answer: right values, or an error."""

import copy
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.tokenizers_for_tests import PatternTagger, tokenizer

import grammask
from grammask.errors import AlignmentError, InputError, TaggingError
from grammask.tagging.encode import check_limit
from grammask.tagging.tag_cache import CachedTagger
from grammask.tagging.tagger import TaggedText
from grammask.tagging.tagger_checks import CheckedTagger

TEXTS = ["a fine film", "dull"]


class Own(str):
    """A text of a caller's own kind."""

    __slots__ = ()

    def __str__(self):
        return "another text"


def annotator(made=None, tagger=None, **options):
    return grammask.Annotator(made or tokenizer("wordpiece"), tagger or PatternTagger(), cache=False, **options)


@pytest.mark.parametrize(
    "texts",
    [
        pd.Series(TEXTS),
        pd.Series(TEXTS, index=[7, 7]),
        pd.Series(TEXTS, dtype=object),
        pd.Index(TEXTS),
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        (text for text in TEXTS),
        [np.str_(text) for text in TEXTS],
        [Own(text) for text in TEXTS],
        dict.fromkeys(TEXTS).keys().__iter__(),
    ],
    ids=lambda texts: type(texts).__name__,
)
def test_lists_arrays_and_columns_are_texts(texts):
    tagger = PatternTagger()
    assert annotator(tagger=tagger)(texts).data == annotator()(TEXTS).data
    assert tagger.seen == TEXTS
    assert {type(text) for text in tagger.seen} == {str}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, r"list of texts, but are None \(NoneType\)"),
        (7, r"but are 7 \(int\)"),
        (b"ab", r"bytes.*b'ab'.*decode"),
        ({"text": TEXTS}, r"\(dict\).*column"),
        (set(TEXTS), r"\(set\)"),
        (pd.DataFrame({"text": TEXTS}), "DataFrame.*column"),
        (np.array("a film"), r"\(ndarray\)"),
        (np.array([TEXTS]), r"\(ndarray\)"),
        (np.array([1, 2]), "text 0 is no text but"),
        ([["a", "film"]], r"text 0 is no text but \['a', 'film'\] \(list\); join words"),
        ([("a", "b")], "`pairs`"),
        (["a", b"b"], r"text 1 is no text but b'b' \(bytes\); decode"),
        (["a", None], "text 1 is no text but None"),
        (pd.Series(["a", None]), "text 1 is no text but"),
        ([], "empty"),
        (iter(()), "empty"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_what_is_no_text_is_refused_with_its_value(texts, message):
    with pytest.raises(InputError, match=message):
        annotator()(texts)


def test_texts_without_words_are_annotated():
    for text in ("", " ", "😀", "👩‍💻", "\u200b", "\n"):
        inputs = annotator()([text], return_tensors="pt")
        assert inputs["tag_ids"].shape == inputs["input_ids"].shape
        assert inputs["tag_ids"][0, 0] == grammask.TAGS.index("[CLS]")


def test_one_text_and_one_pair_may_come_without_a_list():
    assert annotator()("a film", "b").data == annotator()(["a film"], ["b"]).data
    with pytest.raises(InputError, match="2 texts but 1 pairs"):
        annotator()(TEXTS, "dull")
    with pytest.raises(InputError, match="list of texts, but are 3"):
        annotator()(TEXTS, 3)


@pytest.mark.parametrize("limit", [True, 2.5, "8", [8], float("nan"), torch.tensor(2.0)])
def test_a_limit_is_a_whole_number(limit):
    with pytest.raises(InputError, match="max_length must be a whole number of tokens, but is"):
        annotator()(TEXTS, max_length=limit)


@pytest.mark.parametrize(("pairs", "least"), [(None, 2), (TEXTS, 3)])
def test_a_limit_has_room_for_the_special_tokens(pairs, least):
    for limit in (-(2**70), -1, 0, 1, least - 1):
        with pytest.raises(
            InputError, match=rf"max_length is {limit}, .* at least {least} tokens.*give {least} or more"
        ):
            annotator()(TEXTS, pairs, max_length=limit)
    for limit in (least, least + 1, np.int64(least + 2)):
        assert max(map(len, annotator()(TEXTS, pairs, max_length=limit)["input_ids"])) == limit
    whole = annotator()(TEXTS, pairs).data
    for limit in (100, 1 << 31, 2**70):
        assert annotator()(TEXTS, pairs, max_length=limit).data == whole


def test_a_large_limit_is_a_limit_and_the_tokenizers_own_is_checked():
    made = copy.deepcopy(tokenizer("spaces"))
    assert check_limit(1_000_005, made, pairs=False) == 1_000_005
    assert check_limit(None, made, pairs=False) is None  # it says 1e30
    made.model_max_length = 1
    with pytest.raises(InputError, match="the tokenizer's model_max_length is 1"):
        annotator(made)(TEXTS)


@pytest.mark.parametrize("kind", ["tf", "jax", "PT", True, 1, "lists"])
def test_tensors_are_torchs_or_numpys(kind):
    with pytest.raises(InputError, match="return_tensors must be"):
        annotator()(TEXTS, return_tensors=kind)
    arrays, tensors = (annotator()(TEXTS, return_tensors=name) for name in ("np", "pt"))
    assert all(np.array_equal(arrays[name], tensors[name].numpy()) for name in tensors)


def test_only_texts_of_different_kinds_need_padding():
    made = copy.deepcopy(tokenizer("wordpiece"))
    made.pad_token = None
    with pytest.raises(InputError, match=r"no padding token.*tokenizer\.pad_token ="):
        annotator(made)(TEXTS, return_tensors="pt")
    assert annotator(made)(TEXTS[0], return_tensors="pt")["input_ids"].shape == (
        1,
        len(annotator()(TEXTS[0])["tag_ids"][0]),
    )
    ragged = annotator(made)(TEXTS)
    with pytest.raises(InputError, match="no padding token"):
        grammask.Collator(made)([{name: ragged[name][row] for name in ragged} for row in range(2)])


def words(starts=(0, 2), ends=(1, 6), tag_ids=(7, 7), sentence_ids=(0, 0)):
    return TaggedText(*(np.array(column) for column in (starts, ends, tag_ids, sentence_ids)))


class Answers:
    name, version = "mine", "1"

    def __init__(self, *answers):
        self.answers = answers

    def tag(self, texts) -> Iterator[TaggedText]:
        yield from self.answers


WRONG_ANSWERS = [
    ((), "tagger mine answered 0 of 1 texts"),
    ((words(), words()), "answered more than the 1 texts"),
    ((None,), "tagger mine: text 0: the answer is no TaggedText but NoneType"),
    ((([0], [1], [7], [0]),), "but tuple"),
    ((words(ends=(1, 60)),), r"word 1 \(2 to 60, .*beyond the text's 11 characters"),
    ((words(starts=(-1, 2)),), "starts hold -1"),
    ((words(starts=(0, 0)),), "word 1 .* before the word before it ends"),
    ((words((4, 0), (5, 1)),), "word 1"),
    ((words(ends=(0, 6)),), "word 0 .* before it has a character"),
    ((words(tag_ids=(7, 17)),), r"no part of speech \(0 to 16\)"),
    ((words(tag_ids=(7, 2**40)),), "tag_ids hold 1099511627776"),
    ((words(tag_ids=(7.0, float("nan"))),), "dtype float64"),
    ((words(tag_ids=("NOUN", "DET")),), "dtype <U4"),
    ((words(sentence_ids=(1, 0)),), "lower sentence number"),
    ((words(tag_ids=(7,)),), "2 starts, 2 ends, 1 tag_ids, 2 sentence_ids"),
    ((words(tag_ids=((7, 7),)),), r"shape \(1, 2\)"),
]


@pytest.mark.parametrize(("answers", "message"), WRONG_ANSWERS)
@pytest.mark.parametrize("cached", [False, True])
def test_a_taggers_wrong_answer_is_named_and_never_kept(answers, message, cached, tmp_path):
    cache = str(tmp_path / "tags.sqlite") if cached else False
    with pytest.raises(TaggingError, match=message):
        grammask.Annotator(tokenizer("wordpiece"), Answers(*answers), cache=cache)(["a fine film"])
    right = grammask.Annotator(tokenizer("wordpiece"), Answers(words()), cache=cache)
    assert right(["a fine film"])["word_ids"][0][1] == 0


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int16, list])
def test_whole_numbers_of_any_kind_are_taken(dtype):
    make = list if dtype is list else lambda values: np.array(values, dtype=dtype)
    answer = TaggedText(*(make(column) for column in ([0, 2], [1, 6], [5, 0], [0, 0])))
    found = annotator(tagger=Answers(answer))(["a fine"])
    assert set(zip(found["word_ids"][0], found["tag_ids"][0], strict=True)) > {(0, 5), (1, 0)}


def test_tags_given_to_join_are_checked_too():
    annotate = annotator()
    assert annotate.join(["a fine"], None, [words()], None)["word_ids"][0][1] == 0
    with pytest.raises(TaggingError, match="tagged_texts are for 1 texts, but there are 2"):
        annotate.join(TEXTS, None, [words()], None)
    with pytest.raises(TaggingError, match="tagged_texts: text 0: word 1"):
        annotate.join(["a"], None, [words()], None)
    with pytest.raises(InputError, match="tagged_pairs belong together"):
        annotate.join(["a fine"], ["a fine"], [words()], None)


def test_what_an_annotator_is_made_of_is_checked(tmp_path):
    with pytest.raises(AlignmentError, match="NoneType is no tokenizer"):
        grammask.Annotator(None)
    with pytest.raises(TaggingError, match="but int has no name"):
        grammask.Annotator(tokenizer("wordpiece"), 7)
    with pytest.raises(TaggingError, match="cache must be True, False or the path of a file, but is None"):
        grammask.Annotator(tokenizer("wordpiece"), PatternTagger(), cache=None)
    with pytest.raises(TaggingError, match="sentences='parser' is for pipelines given by name"):
        grammask.Annotator(tokenizer("wordpiece"), PatternTagger(), sentences="parser")
    made = grammask.Annotator(tokenizer("wordpiece"), PatternTagger(), cache=str(tmp_path / "tags.sqlite"))
    made(TEXTS)
    assert (tmp_path / "tags.sqlite").exists()
    assert isinstance(made.tagger, CachedTagger)
    assert isinstance(annotator().tagger, CheckedTagger)


def feature(**changes):
    ragged = annotator()(TEXTS)
    return {**{name: ragged[name][0] for name in ragged}, **changes}


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "empty"),
        ([7], "text 0 must be a mapping"),
        ([feature(tag_ids=[7])], r"tag_ids has shape \(1,\), but the text has"),
        ([feature(word_ids=[0.5] * len(feature()["tag_ids"]))], "word_ids must be whole numbers"),
        ([feature(word_ids="abc")], "word_ids must be a list of whole numbers, but is 'abc'"),
        ([feature(labels="good")], "label of text 0 is 'good'.*map names to ids"),
        ([feature(label=None)], "label of text 0 is None"),
        ([feature(labels=1), feature()], "text 1 and text 0 don't have the same columns: labels"),
        ([feature(text="a fine film")], "make no batch"),
    ],
)
def test_features_of_which_no_batch_can_be_made_are_refused(features, message):
    with pytest.raises(InputError, match=message):
        grammask.Collator(tokenizer("wordpiece"))(features)


@pytest.mark.parametrize("side", ["right", "left"])
def test_labels_of_tokens_are_padded_with_what_no_loss_counts(side):
    made = copy.deepcopy(tokenizer("wordpiece"))
    made.padding_side = side
    short, long = feature(), {name: [*ids, *ids] for name, ids in feature().items()}
    features = [{**row, "labels": row["input_ids"]} for row in (short, long)]
    labels = grammask.Collator(made)(features)["labels"]
    padding = [-100] * len(short["input_ids"])
    padded = [*short["input_ids"], *padding] if side == "right" else [*padding, *short["input_ids"]]
    assert labels.tolist() == [padded, long["input_ids"]]
    with pytest.raises(InputError, match="make no batch"):
        grammask.Collator(made)([{**row, "labels": row["input_ids"][1:]} for row in (short, long)])


def test_labels_may_be_any_numbers():
    collate = grammask.Collator(tokenizer("wordpiece"))
    for labels, expected in (((0, 1), [0, 1]), ((np.int64(0), np.int64(1)), [0, 1]), ((0.5, 1.5), [0.5, 1.5])):
        assert collate([feature(labels=label) for label in labels])["labels"].tolist() == expected
    assert collate([feature(labels=torch.tensor(1))])["labels"].tolist() == [1]
