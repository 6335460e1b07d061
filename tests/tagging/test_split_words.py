"""Words that are split already: tagged as those words, with the tokenizer's own columns and word numbers."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.tokenizers_for_tests import FAMILIES, PatternTagger, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

import grammask
from grammask.errors import InputError
from grammask.tagging.spacy_tagger import SpacyTagger
from grammask.tagging.split_text import SplitText

WORDS = [["The", "old", "sailor", "does", "n't", "read", "."], ["New York", "is", "big", "."]]
MADE = st.lists(st.lists(st.text("abé .!😀", min_size=1, max_size=6), min_size=1, max_size=6), min_size=1, max_size=3)


def annotator(family="wordpiece", tagger=None, **options):
    return grammask.Annotator(tokenizer(family), tagger or PatternTagger(), **{"cache": False, **options})


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8)
@given(words=MADE, pairs=st.booleans(), padding=st.booleans(), window=st.booleans())
def test_split_words_are_words_and_columns_are_the_tokenizers(family, words, pairs, padding, window):
    annotate = annotator(family)
    options = {"is_split_into_words": True, "padding": padding, "truncation": "only_second" if pairs else True}
    second = words[::-1] if pairs else None
    if window:
        options |= {"return_overflowing_tokens": True, "max_length": 60, "stride": 1}
    found = annotate(text=words, text_pair=second, **options)
    stock = annotate.tokenizer(words, second, **options)
    assert all(found[name] == stock[name] for name in stock)
    for row, encoding in enumerate(found.encodings):
        assert found.word_ids(row) == stock.word_ids(row)
        given, numbers = encoding.word_ids, found["word_ids"][row]
        kept = [place for place, word in enumerate(given) if word is not None and numbers[place] >= 0]
        for before, after in pairwise(kept):
            same = (encoding.sequence_ids[before], given[before]) == (encoding.sequence_ids[after], given[after])
            one, other = words_at(words, second, found, row, encoding, before, after)
            if one and other and not {"[", "]"} & {*one, *other}:
                assert same == (numbers[before] == numbers[after])


def words_at(words, second, found, row, encoding, *places):
    """Return the given words of tokens, empty where a tagger sees none in them."""
    sample = found.get("overflow_to_sample_mapping", range(len(found.encodings)))[row]
    texts = (words[sample], second and second[sample])
    return [texts[encoding.sequence_ids[place]][encoding.word_ids[place]].strip() for place in places]


@pytest.fixture(scope="module")
def spacy_tagger():
    return SpacyTagger()


@pytest.mark.parametrize("cache", [False, True])
def test_a_pipeline_tags_the_words_that_it_is_given(spacy_tagger, cache, tmp_path):
    from spacy.tokens import Doc

    annotate = annotator(tagger=spacy_tagger, cache=str(tmp_path / "tags.sqlite") if cache else False)
    for _ in range(1 + cache):
        found = annotate(text=WORDS, is_split_into_words=True)
        for row, words in enumerate(WORDS):
            doc = spacy_tagger._nlp(Doc(spacy_tagger._nlp.vocab, words=words))
            for tag, word in zip(found["tag_ids"][row], found.word_ids(row), strict=True):
                assert word is None or grammask.TAGS[tag] == doc[word].pos_
        plain = annotate(" ".join(WORDS[1]))
        assert plain["word_ids"][0] != found["word_ids"][1]  # there, New York is two words
    if cache:
        assert (annotate.tagger.texts_tagged, annotate.tagger.texts_from_cache) == (3, 3)


def test_spaces_say_what_the_tagger_reads():
    tagger = PatternTagger()
    annotate = annotator(tagger=tagger)
    spaces = [[True, True, True, False, True, False, False], [True, True, False, False]]
    annotate(text=WORDS, is_split_into_words=True, spaces=spaces)
    assert tagger.seen == ["The old sailor doesn't read.", "New York is big."]
    one = annotate(text=WORDS[0], is_split_into_words=True, spaces=spaces[0])
    assert one.data == {name: rows[0] for name, rows in annotate(WORDS[:1], is_split_into_words=True).data.items()}


def test_words_without_characters_are_none():
    split = SplitText(("a", "", "b"), (True, True, False))
    assert split.text == "a b"
    assert split.spans.tolist() == [[0, 1], [2, 2], [2, 3]]
    (tagged,) = PatternTagger().tag([split.text])
    assert split.to_words(tagged).starts.tolist() == [0, 2]
    found = annotator()(text=["a", "", "b"], is_split_into_words=True)
    assert found["word_ids"] == [-1, 0, 1, -1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "a b"}, "lists of words, but are 'a b'"),
        ({"text": []}, "the list is empty"),
        ({"text": [["a"], "b"]}, "text 1 of texts is 'b', but must be a list of words"),
        ({"text": [["a", 3]]}, r"text 0 of texts: word 1 is no text but 3 \(int\); a word must be a text"),
        ({"text": [[1, 2]]}, r"text 0 of texts: word 0 is no text but 1 \(int\); a word must be a text"),
        ({"text": ["a", None]}, r"text 0 of texts: word 1 is no text but None \(NoneType\); a word must be a text"),
        ({"text": ["a", ["b"]]}, r"text 0 of texts: word 1 is no text but \['b'\] \(list\); a word must be a text"),
        ({"text": [1, 2]}, r"text 0 of texts must be a list of words, but is 1 \(int\)"),
        ({"text": [["a"], None]}, r"text 1 of texts must be a list of words, but is None \(NoneType\)"),
        ({"text": [["a"]], "text_pair": [[b"b"]]}, r"text 0 of pairs: word 0 is no text but b'b' \(bytes\)"),
        ({"text": [["a"]], "spaces": 1}, r"spaces must be a list of lists, one for each text, but is 1 \(int\)"),
        ({"text": [["a"]], "spaces": [["no"]]}, "spaces hold 'no', but must hold True or False for each word"),
        ({"text": [["a"]], "tags": 1}, r"tags must be a list of lists, one for each text, but is 1 \(int\)"),
        ({"text": [["a"]], "tags": [None]}, r"text 0: tags must be a list of values, one for each word, but is None"),
        (
            {"text": [["a"]], "tags": [["X"]], "sentence_ids": [0]},
            "text 0: sentence_ids must be a list of values, one",
        ),
        ({"text": [["a"]], "text_pair": [["b"], ["c"]]}, "1 texts but 2 pairs"),
        ({"text": [["a"]], "spaces": [[True, False]]}, "has 1 words, but 2 spaces"),
        ({"text": [["a"]], "spaces": []}, "1 texts, but spaces for 0"),
        ({"text": [["a"]], "text_pair": [["b"]], "spaces": [[True]]}, "not for pairs"),
    ],
)
def test_what_is_no_list_of_words_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        annotator()(**arguments, is_split_into_words=True)


def test_tensors_of_split_words_hold_their_tags():
    found = annotator()(text=WORDS, is_split_into_words=True, padding=True, return_tensors="np")
    assert found["tag_ids"].shape == found["input_ids"].shape
    assert np.array_equal(found["tag_ids"] == grammask.TAGS.index("[PAD]"), found["attention_mask"] == 0)
