"""Alignment and annotation, for the three families of tokenizers."""

import copy
from unicodedata import category

import numpy as np
import pytest
import torch
from helpers.tokenizers_for_tests import FAMILIES, SPECIAL, PatternTagger, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizerFast

import grammask
from grammask.errors import AlignmentError, InputError
from grammask.grammar.rules import MAX_OFFSET
from grammask.grammar.tags import CLS, PAD, SEP, TAG_IDS, UNK
from grammask.tagging.coverage import Coverage
from grammask.tagging.overlap import overlapping_words

EVERY = pytest.mark.parametrize("family", FAMILIES)
HARD_TEXTS = [
    "Plain words here.",
    "Naïve café, e\u0301te\u0301 and a\u0308rger",
    "emoji 😀 family 👨‍👩‍👧 flags 🇩🇪!",
    "tabs\tand\nnewlines\r\nand   several  spaces ",
    "well-known don't it's co-operate",
    "Internationalisationalisation",
    "日本語 mixed العربية",
    "ﬁnancial ½ Ⅷ ™",
    "zero\u200bwidth and\u00a0hard space",
    "İstanbul, CAFÉ\r\nê ß ẞ soft\u00adhyphen",
    "[SEP] literal <s> [UNK]",
    "un[SEP]parted [CLS][CLS] \n[PAD]",
    "",
    "   ",
]


def annotator(family, **options):
    return grammask.Annotator(tokenizer(family), PatternTagger(), cache=False, **options)


def slowly(text, tokens, offsets):
    """Return number, tag and sentence of each token of a whole text, one by one: docs/grammar.md in loops."""
    (tagged,) = PatternTagger().tag([text])
    words = list(zip(tagged.starts.tolist(), tagged.ends.tolist(), strict=True))
    owners = []
    for place, (token, (start, end)) in enumerate(zip(tokens, offsets, strict=True)):
        overlap = [min(stop, max(end, start + 1)) - max(begin, start) for begin, stop in words]
        most = max(overlap, default=0)
        if token in SPECIAL and text[start:end] == token:
            owners.append(("special", place))
        else:
            owners.append(
                overlap.index(most) if most > 0 and (start < end or words[overlap.index(most)][0] < start) else None
            )
    for place, (start, end) in enumerate(offsets):
        if owners[place] is None and all(char.isspace() or category(char) in ("Cc", "Cf") for char in text[start:end]):
            beside = [owner for owner in owners[place:] if owner is not None and owner != "nothing"]
            before = [owner for owner in owners[:place] if owner is not None]
            owners[place] = beside[0] if beside else before[-1] if before else "nothing"
    found, number, last = [], -1, None
    for owner, (start, _) in zip(owners, offsets, strict=True):
        if owner is None:
            found.append((-1, UNK, -1))
            continue
        number += owner != last
        last = owner
        if isinstance(owner, int):
            found.append((number, int(tagged.tag_ids[owner]), int(tagged.sentence_ids[owner])))
            continue
        at = start if owner == "nothing" else offsets[owner[1]][0]
        beside = next((place for place, (_, end) in enumerate(words) if end > at), len(words) - 1)
        found.append((number, TAG_IDS["X"], int(tagged.sentence_ids[beside]) if words else 0))
    return found


def check_against_the_slow_reading(family, text):
    encoded = annotator(family)([text])
    plain = tokenizer(family)(text, return_offsets_mapping=True)
    tokens = tokenizer(family).convert_ids_to_tokens(plain["input_ids"])
    assert encoded["input_ids"][0] == plain["input_ids"]
    found = list(zip(*(encoded[name][0] for name in ("word_ids", "tag_ids", "sentence_ids")), strict=True))
    assert (found[0], found[-1]) == ((-1, CLS, -1), (-1, SEP, -1))
    assert found[1:-1] == slowly(text, tokens[1:-1], plain["offset_mapping"][1:-1])


@EVERY
@pytest.mark.parametrize("text", HARD_TEXTS)
def test_each_subword_belongs_to_the_word_that_it_is_part_of(family, text):
    check_against_the_slow_reading(family, text)


@settings(max_examples=100)
@given(
    st.sampled_from(FAMILIES),
    st.lists(
        st.sampled_from(["\u200b", "[SEP]", "[UNK]", "\u3000", "\r\n", "e\u0301", "İ", "ﬁ"])
        | st.text("ab'. \n日é\t", max_size=6)
        | st.characters(exclude_categories=["Cs"]),
        max_size=9,
    ).map("".join),
)
def test_any_text_is_read_as_the_slow_reading_says(family, text):
    check_against_the_slow_reading(family, text)


@EVERY
def test_every_word_of_ordinary_text_is_covered(family):
    annotate = annotator(family, strict=1.0)
    annotate(["She doesn't read well-known letters.", "Tabs\tand  several   spaces\nhere."])
    assert annotate.coverage.word_share == 1.0


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=8)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), max_size=8), spans)
def test_overlap_equals_a_search_over_all_words(pieces, drawn):
    starts, ends, at = [], [], 0
    for gap, length in pieces:
        starts.append(at + gap)
        at += gap + length
        ends.append(at)
    text = next(PatternTagger().tag([""]))
    text = type(text)(*(np.array(column, dtype=np.int32) for column in (starts, ends, starts, starts)))
    found = overlapping_words(np.array([(s, s + n) for s, n in drawn], dtype=np.int64).reshape(-1, 2), text)
    for (start, length), word in zip(drawn, found, strict=True):
        overlap = [
            min(end, start + max(length, 1)) - max(begin, start) for begin, end in zip(starts, ends, strict=True)
        ]
        best = max(overlap, default=0)
        assert word == (overlap.index(best) if best > 0 else -1)


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=3))
def test_any_text_can_be_annotated(texts):
    for family in FAMILIES:
        batch = annotator(family)(texts, return_tensors="pt")
        shape = batch["input_ids"].shape
        for name in ("tag_ids", "word_ids", "sentence_ids"):
            assert batch[name].shape == shape
        assert torch.equal(batch["tag_ids"] == PAD, batch["attention_mask"] == 0)
        words = batch["word_ids"]
        assert ((words >= 0) == (batch["tag_ids"] < CLS)).all()


@EVERY
def test_a_long_text_is_cut_and_the_cut_words_are_not_counted(family):
    annotate = annotator(family)
    encoded = annotate(["word " * 50], max_length=8)
    assert len(encoded["input_ids"][0]) == 8
    coverage = annotate.coverage
    assert coverage.covered_words == coverage.words < 50
    assert coverage.words + coverage.cut_words == 50


@EVERY
def test_pairs_are_beyond_each_others_reach_and_count_sentences_on(family):
    encoded = annotator(family)(["One here . Two ."], ["Three there ."])
    words = [word for word in encoded["word_ids"][0] if word >= 0]
    first = [word for word in words if word < MAX_OFFSET]
    second = [word for word in words if word >= MAX_OFFSET]
    assert sorted(set(first)) == [0, 1, 2, 3, 4]
    assert min(second) - max(first) >= MAX_OFFSET
    assert {
        sentence
        for word, sentence in zip(encoded["word_ids"][0], encoded["sentence_ids"][0], strict=True)
        if word in second
    } == {2}
    assert encoded["tag_ids"][0].count(SEP) == 2


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_no_word_where_a_tokenizer_puts_nothing_around_texts(side):
    made = copy.deepcopy(tokenizer("bytes"))
    made.backend_tokenizer.post_processor, made.padding_side = None, side
    batch = grammask.Annotator(made, PatternTagger(), cache=False)(["Nobody came home.", "No."], return_tensors="np")
    padding = batch["attention_mask"] == 0
    assert padding.any()
    assert ((batch["tag_ids"] == PAD) == padding).all()
    assert ((batch["word_ids"] == -1) == padding).all()


def test_ragged_lists_and_padded_tensors_agree_and_padding_may_be_left():
    made = tokenizer("wordpiece")
    texts = ["The old sailor.", "Letters"]
    ragged = annotator("wordpiece")(texts)
    made.padding_side = "left"
    try:
        padded = annotator("wordpiece")(texts, return_tensors="pt")
        collated = grammask.Collator(made)([{name: ragged[name][row] for name in ragged} for row in range(2)])
    finally:
        made.padding_side = "right"
    assert padded["tag_ids"][1, 0] == PAD
    for name in ("input_ids", "attention_mask", "tag_ids", "word_ids", "sentence_ids"):
        assert torch.equal(padded[name], collated[name]), name


def test_collator_carries_labels_and_refuses_texts_without_tags():
    ragged = annotator("wordpiece")(["The old sailor.", "Letters"])
    features = [{**{name: ragged[name][row] for name in ragged}, "labels": row} for row in range(2)]
    assert grammask.Collator(tokenizer("wordpiece"))(features)["labels"].tolist() == [0, 1]
    del features[1]["word_ids"]
    with pytest.raises(InputError, match="without word_ids.*remove_unused_columns=False"):
        grammask.Collator(tokenizer("wordpiece"))(features)


def test_strict_raises_below_its_threshold():
    class Elsewhere(PatternTagger):
        """Takes the spaces for words."""

        def tag(self, texts):
            for text in texts:
                yield from super().tag(["".join("x" if char == " " else " " for char in text)])

    annotate = grammask.Annotator(tokenizer("wordpiece"), Elsewhere(), cache=False, strict=0.5)
    with pytest.raises(AlignmentError, match=r"only 0 of 2 words \(0.00%\).*strict=50.00%"):
        annotate(["Old letters ."])
    for strict in (2, float("nan"), True, "0.5"):
        with pytest.raises(AlignmentError, match="between 0 and 1"):
            annotator("wordpiece", strict=strict)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no text"),
        (["fine", float("nan")], "text 1 is no text but nan"),
        (["half \ud83d"], "lone surrogate"),
    ],
)
def test_what_is_no_text_is_named(texts, message):
    with pytest.raises(InputError, match=message):
        annotator("wordpiece")(texts)


def test_pairs_must_match_and_a_slow_tokenizer_is_refused():
    with pytest.raises(InputError, match=r"2 texts but 1 pairs"):
        annotator("wordpiece")(["a", "b"], ["c"])

    class Slow(BertTokenizerFast):
        is_fast = False

    slow = Slow(tokenizer_object=tokenizer("wordpiece").backend_tokenizer)
    with pytest.raises(AlignmentError, match="slow tokenizer without character offsets"):
        grammask.Annotator(slow, PatternTagger(), cache=False)


def test_coverage_adds_up():
    total = Coverage(4, 3, 1, 6, 5, 2, 8, 1) + Coverage(1, 1, 0, 2, 1, 0, 2, 1)
    assert total == Coverage(5, 4, 1, 8, 6, 2, 10, 2)
    assert (total.word_share, total.subword_share, total.unknown_share) == (0.8, 0.75, 0.2)
    assert (Coverage().word_share, Coverage().unknown_share) == (1.0, 0.0)


def test_a_word_that_shares_its_subword_is_covered_but_merged():
    annotate = annotator("bytes")
    annotate(["doesn't"])  # one piece is "'t", which the tagger takes for two words
    coverage = annotate.coverage
    assert (coverage.words, coverage.covered_words, coverage.merged_words) == (3, 3, 1)


def test_tags_are_those_of_the_words():
    encoded = annotator("bytes")(["Hi!"])
    assert set(encoded["tag_ids"][0][1:-1]) == {TAG_IDS["NOUN"], TAG_IDS["PUNCT"]}
