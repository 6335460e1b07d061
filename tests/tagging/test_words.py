"""The words that a model reads: merged ones, cut ones, white space, special and added tokens."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.tokenizers_for_tests import FAMILIES, PatternTagger, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AddedToken

import grammask
from grammask.attention.inputs import Annotation
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.rules import MAX_OFFSET
from grammask.grammar.tables import compile_tables
from grammask.grammar.tags import CLS, SEP, TAG_IDS, TAGS, UNK

EVERY = pytest.mark.parametrize("family", FAMILIES)
NEIGHBOURS = compile_tables(grammask.load_grammar("neighbours"), layer=0, heads=1)
# Every one is a word to tagger and tokenizers alike, except that "spaces" makes one of what no space parts.
WORDS = ["the", "old", "sailor", "read", "letters", "that", "his", "daughter", "had", "written"]
SPACES = [" ", "  ", "\t", "\n\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\x0b", " \u200b "]


def changed(family, **settings):
    made = copy.deepcopy(tokenizer(family))
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def annotator(made, **options):
    return grammask.Annotator(made, PatternTagger(), cache=False, **options)


def reads(inputs, row=0):
    """Return which tokens of a text may read which under the grammar of neighbours, sinks left out."""
    annotation = {name: torch.tensor(inputs[name][row])[None] for name in ("tag_ids", "word_ids", "sentence_ids")}
    allowed = allowed_pairs(NEIGHBOURS, **vars(Annotation(**annotation)))[0, 0]
    tags = annotation["tag_ids"][0]
    allowed[:, (tags == CLS) | (tags == SEP)] = False
    return allowed


def test_a_word_without_a_subword_gets_no_number():
    annotate = annotator(tokenizer("spaces"))
    inputs = annotate(["We can't go ."])  # the tagger reads can, ', t
    assert inputs["word_ids"] == [[-1, 0, 1, 2, 3, -1]]
    assert reads(inputs)[2, 3]
    assert reads(inputs)[3, 2]
    coverage = annotate.coverage
    assert (coverage.words, coverage.covered_words, coverage.merged_words, coverage.cut_words) == (6, 6, 2, 0)


texts = st.lists(
    st.tuples(st.sampled_from([*WORDS, "don't", "co-op", "日本", "naïve", "😀", "."]), st.sampled_from(SPACES[:7])),
    min_size=1, max_size=8,
).map(lambda pieces: "".join(word + space for word, space in pieces))  # fmt: skip


@settings(max_examples=80)
@given(st.sampled_from(FAMILIES), texts, st.integers(2, 20), st.sampled_from(["left", "right"]))
def test_words_count_on_join_their_neighbours_and_add_up_wherever_a_text_is_cut(family, text, limit, side):
    made = changed(family, truncation_side=side)
    annotate = annotator(made)
    inputs = annotate([text], max_length=limit)
    words, tags = inputs["word_ids"][0][1:-1], inputs["tag_ids"][0][1:-1]
    assert all(word >= 0 and tag < CLS for word, tag in zip(words, tags, strict=True))  # every token has a word
    assert all(after - before in (0, 1) for before, after in pairwise(words))
    allowed = reads(inputs)[1:-1, 1:-1]
    assert all(allowed[place, place + 1] and allowed[place + 1, place] for place in range(len(words) - 1))
    (tagged,) = PatternTagger().tag([text])
    coverage = annotate.coverage
    whole = made(text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    offsets = whole[: limit - 2] if side == "right" else whole[max(len(whole) - limit + 2, 0) :]
    cut = len(whole) > len(offsets)
    if side == "right":
        gone = tagged.starts >= max((end for _, end in offsets), default=0) if cut else np.array([False])
        assert not words or words[0] == 0
    else:
        gone = tagged.ends <= min((start for start, _ in offsets), default=len(text)) if cut else np.array([False])
        assert not words or words[0] == gone.sum()
    assert coverage.cut_words == gone.sum()
    assert coverage.words + coverage.cut_words == len(tagged)
    assert coverage.covered_words <= coverage.words
    assert coverage.word_share == 1.0
    assert coverage.covered_words - coverage.merged_words <= len(set(words))
    assert (coverage.subwords, coverage.covered_subwords) == (len(words), len(words))
    assert (coverage.tokens, coverage.unknown_tokens) == (len(words) + 2, 0)


@pytest.mark.parametrize(("side", "numbers", "cut"), [("right", [0, 1, 2], 2), ("left", [2, 3, 4], 2)])
def test_pairs_are_cut_where_the_longer_text_is(side, numbers, cut):
    annotate = annotator(changed("spaces", truncation_side=side), strict=1.0)
    inputs = annotate(["the old sailor read letters"], ["his daughter"], max_length=8)
    words = inputs["word_ids"][0]
    assert words[1:4] == numbers
    assert words[5] - words[3] > MAX_OFFSET
    assert words[6] - words[5] == 1
    coverage = annotate.coverage
    assert (coverage.words, coverage.covered_words, coverage.cut_words) == (5, 5, cut)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_text_that_just_fits_is_whole_and_one_of_which_nothing_fits_is_cut(side):
    annotate = annotator(changed("spaces", truncation_side=side))
    annotate(["the old sailor"], max_length=5)
    assert (annotate.coverage.words, annotate.coverage.cut_words) == (3, 0)
    assert annotate(["the old sailor"], max_length=2)["tag_ids"] == [[CLS, SEP]]
    assert (annotate.coverage.words, annotate.coverage.cut_words) == (3, 3)
    assert annotate(["the old"], ["sailor"], max_length=3)["word_ids"] == [[-1, -1, -1]]
    assert (annotate.coverage.words, annotate.coverage.cut_words) == (3, 6)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_word_cut_in_the_middle_is_read(side):
    annotate = annotator(changed("bytes", truncation_side=side))
    inputs = annotate(["internationalisation"], max_length=4)
    assert set(inputs["word_ids"][0][1:-1]) == {0}
    assert (annotate.coverage.words, annotate.coverage.covered_words, annotate.coverage.cut_words) == (1, 1, 0)


@EVERY
@pytest.mark.parametrize("space", SPACES)
def test_white_space_belongs_to_the_next_word_and_the_last_of_a_text_to_the_last(family, space):
    text = f"{space}the old{space}sailor{space}"
    made = tokenizer(family)
    inputs = annotator(made)([text])
    offsets = made(text, return_offsets_mapping=True)["offset_mapping"]
    for (start, end), word, tag in zip(
        offsets[1:-1], inputs["word_ids"][0][1:-1], inputs["tag_ids"][0][1:-1], strict=True
    ):
        seen = [place for place in range(start, max(end, start + 1)) if text[place : place + 1].isalpha()]
        at = seen[0] if seen else start
        if "\u200b" not in space:  # a word to this tagger
            assert word == (at >= text.index("the") + 3) + (at >= text.index("old") + 3)
        assert tag < UNK


@EVERY
@pytest.mark.parametrize("text", [" ", "\n\n", "\t \u3000", "\u00a0\u00a0"])
def test_a_text_of_white_space_is_one_word_that_doesnt_join_the_other_text(family, text):
    annotate = annotator(tokenizer(family))
    inputs = annotate([text], ["the old sailor read"])
    tags = [TAGS[tag] for tag in inputs["tag_ids"][0]]
    assert set(tags[1 : tags.index("[SEP]")]) <= {"X"}
    assert annotate.coverage.unknown_share == 0
    allowed = reads(inputs).float()
    second = torch.tensor(inputs["word_ids"][0]) >= MAX_OFFSET
    assert not ((allowed @ allowed) > 0)[second][:, second].all()


def test_a_visible_subword_that_no_word_covers_is_unknown_and_counted():
    class Half(PatternTagger):
        def tag(self, texts):
            for text in super().tag(texts):
                yield type(text)(*(column[::2] for column in vars(text).values()))

    annotate = grammask.Annotator(tokenizer("spaces"), Half(), cache=False)
    inputs = annotate(["the old sailor read"])
    assert [TAGS[tag] for tag in inputs["tag_ids"][0]] == ["[CLS]", "NOUN", "[UNK]", "NOUN", "[UNK]", "[SEP]"]
    assert inputs["word_ids"] == [[-1, 0, -1, 1, -1, -1]]
    coverage = annotate.coverage
    assert (coverage.tokens, coverage.unknown_tokens, coverage.unknown_share) == (6, 2, 1 / 3)
    assert coverage.subword_share == 0.5


@EVERY
@pytest.mark.parametrize("token", ["[SEP]", "[CLS]", "[UNK]", "[PAD]", "[MASK]", "<turn>"])
def test_a_special_token_in_a_text_is_one_word_without_a_part_of_speech(family, token):
    made = changed(family)
    made.add_special_tokens({"mask_token": "[MASK]"})
    made.add_tokens(["<turn>"], special_tokens=True)
    annotate = annotator(made)
    inputs = annotate([f"the {token} old"])
    at = inputs["input_ids"][0].index(made.convert_tokens_to_ids(token), 1)
    words, tags = inputs["word_ids"][0], inputs["tag_ids"][0]
    assert [TAGS[tag] for word, tag in zip(words, tags, strict=True) if word == words[at]] == (
        ["X"] * words.count(words[at])
    )
    assert sorted(set(words)) == [-1, 0, 1, 2]
    assert (words[at], inputs["sentence_ids"][0][at]) == (1, 0)
    assert tags.count(CLS) == tags.count(SEP) == 1
    allowed = reads(inputs)
    assert not allowed[words.index(0), words.index(2)]
    assert allowed[words.index(0), at]
    assert annotate.coverage.unknown_share == 0


def test_a_special_token_parts_the_word_that_it_stands_in():
    class Whole(PatternTagger):
        def tag(self, texts):
            for text in texts:
                yield from super().tag(["a" * len(text)])

    inputs = grammask.Annotator(tokenizer("spaces"), Whole(), cache=False)(["the[SEP]old"])
    assert inputs["word_ids"] == [[-1, 0, 1, 2, -1]]
    assert [TAGS[tag] for tag in inputs["tag_ids"][0]] == ["[CLS]", "NOUN", "X", "NOUN", "[SEP]"]


def test_the_unknown_token_of_a_word_has_that_words_tag():
    inputs = annotator(tokenizer("spaces"))(["the quokka"])
    assert inputs["input_ids"][0][2] == tokenizer("spaces").unk_token_id
    assert inputs["tag_ids"][0][2] == TAG_IDS["NOUN"]


@EVERY
@pytest.mark.parametrize("token", ["<user>", "covid-19"])
def test_an_added_token_is_one_unit_with_the_tag_of_the_word_that_it_overlaps_most(family, token):
    made = changed(family)
    annotate = annotator(made)
    made.add_tokens([AddedToken(token, single_word=False)])  # after the annotator was made
    inputs = annotate([f"the {token} old"])
    at = inputs["input_ids"][0].index(made.convert_tokens_to_ids(token))
    words = inputs["word_ids"][0]
    assert inputs["tag_ids"][0][at] == TAG_IDS["NOUN"]
    assert words[at] == 1
    assert sorted(set(words)) == [-1, 0, 1, 2]
    assert reads(inputs)[at, words.index(0)]
    assert reads(inputs)[words.index(2), at]
    assert annotate.coverage.word_share == 1.0
