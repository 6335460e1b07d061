"""The Annotator called as a tokenizer: the tokenizer's own columns, and the annotator's tags for each token."""

import numpy as np
import pytest
from helpers.tokenizers_for_tests import FAMILIES, PatternTagger, tokenizer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers.tokenization_utils_base import TruncationStrategy

import grammask
from grammask.errors import InputError

TEXTS = ["The old sailor doesn't read.", "He nodded. She re-opened the café, happily!"]
PAIRS = ["What letters?", "It's 3.14. Is it?"]
TAGS = ("tag_ids", "word_ids", "sentence_ids")
MADE = st.lists(st.text("ab .!-é\u00a0\u200b😀\n", max_size=30), min_size=1, max_size=3)


def annotator(family="wordpiece", **options):
    return grammask.Annotator(tokenizer(family), PatternTagger(), cache=False, **options)


def same_as_stock(annotate, **arguments):
    """Return what an annotator answers, after its tokenizer's columns were compared with its own answer."""
    found, stock = annotate(**arguments), annotate.tokenizer(**{"truncation": True, **arguments})
    assert set(found) - set(TAGS) == set(stock)
    for name in stock:
        if arguments.get("return_tensors"):
            assert np.array_equal(np.asarray(found[name]), np.asarray(stock[name])), name
        else:
            assert found[name] == stock[name], name
    for name in TAGS:
        assert list(map(np.size, map(np.asarray, found[name]))) == list(
            map(np.size, map(np.asarray, stock["input_ids"]))
        )
    assert [encoding.ids for encoding in found.encodings] == [encoding.ids for encoding in stock.encodings]
    return found


ARGUMENTS = [
    {},
    {"padding": True},
    {"padding": "longest", "pad_to_multiple_of": 8},
    {"padding": "max_length", "max_length": 40},
    {"padding": "max_length", "max_length": 12, "truncation": True},
    {"padding": True, "padding_side": "left"},
    {"padding": False, "truncation": False},
    {"truncation": "do_not_truncate"},
    {"truncation": True, "max_length": 7},
    {"truncation": "longest_first", "max_length": 9},
    {"truncation": "only_first", "max_length": 28},
    {"truncation": TruncationStrategy.ONLY_FIRST, "max_length": 26},
    {"return_offsets_mapping": True},
    {"return_special_tokens_mask": True, "padding": True},
    {"return_token_type_ids": True},
    {"return_token_type_ids": False, "return_attention_mask": False},
    {"return_length": True},
    {"add_special_tokens": False, "max_length": 5},
    {"return_tensors": "pt", "padding": True},
    {"return_tensors": "np", "padding": "max_length", "max_length": 30, "return_offsets_mapping": True},
    {"return_overflowing_tokens": True, "max_length": 16, "stride": 3, "return_offsets_mapping": True},
    {"return_overflowing_tokens": True, "max_length": 16, "stride": 3, "padding": True, "return_tensors": "pt"},
    {"return_overflowing_tokens": True, "truncation": "only_first", "max_length": 28, "stride": 2},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda arguments: "+".join(arguments) or "none")
@pytest.mark.parametrize("given", ["one", "several", "pair", "pairs"])
def test_every_argument_gives_the_tokenizers_own_columns(arguments, given):
    texts = {"one": {"text": TEXTS[0]}, "several": {"text": TEXTS}}
    texts |= {"pair": {"text": TEXTS[0], "text_pair": PAIRS[0]}, "pairs": {"text": TEXTS, "text_pair": PAIRS}}
    same_as_stock(annotator(), **texts[given], **arguments)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=20)
@given(texts=MADE, pairs=st.booleans(), options=st.sampled_from(ARGUMENTS[:17]))
@example(texts=["a\u200b b", "ab ab ab"], pairs=True, options={"padding": True, "padding_side": "left"})
def test_tags_are_those_of_the_plain_annotator(family, texts, pairs, options):
    annotate = annotator(family)
    second = texts[::-1] if pairs else None
    options = {**options, "max_length": 60}
    if options.get("pad_to_multiple_of"):
        del options["max_length"]
    plain = annotate(texts, second, max_length=60)
    found = same_as_stock(annotate, text=texts, text_pair=second, **options)
    for number, ids in enumerate(found["input_ids"]):
        mask = np.array(found.encodings[number].attention_mask, dtype=bool)
        assert len(ids) == len(mask)
        for name, padding in zip(TAGS, (grammask.TAGS.index("[PAD]"), -1, -1), strict=True):
            row = np.array(found[name][number])
            assert (row[~mask] == padding).all()
            if plain["input_ids"][number] == np.array(ids)[mask].tolist():
                assert row[mask].tolist() == plain[name][number]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=20)
@given(texts=MADE, pairs=st.booleans(), stride=st.integers(0, 3), padding=st.booleans())
@example(texts=["ab " * 9, ".", ""], pairs=True, stride=2, padding=True)
def test_each_token_of_a_window_is_what_it_is_in_the_whole_text(family, side, texts, pairs, stride, padding):
    annotate = annotator(family)
    second = texts[::-1] if pairs else None
    whole = annotate(texts, second, truncation=False)
    before = annotate.coverage
    room = max(len(annotate(text)["input_ids"][0]) for text in texts) + 3 if pairs else 2
    options = {"truncation": "only_second" if pairs else True, "max_length": room + 5, "stride": stride}
    annotate.coverage = grammask.tagging.coverage.Coverage()
    annotate.tokenizer.truncation_side = side
    try:
        found = same_as_stock(annotate, text=texts, text_pair=second, return_overflowing_tokens=True, padding=padding,
                              return_special_tokens_mask=True, return_offsets_mapping=True, **options)  # fmt: skip
    finally:
        annotate.tokenizer.truncation_side = "right"
    assert annotate.coverage == before  # each word counts once
    seen = [set() for _ in texts]
    spans = family != "trimmed"  # byte-level tokenizers trim spans at the beginning of a window in another way
    for row, sample in enumerate(found["overflow_to_sample_mapping"]):
        encoding = whole.encodings[sample]
        known = {}
        for place, sequence in enumerate(encoding.sequence_ids):
            key = sequence, encoding.ids[place], spans and encoding.offsets[place]
            known.setdefault(key, set()).add(tuple(whole[name][sample][place] for name in TAGS))
        for place, sequence in enumerate(found.encodings[row].sequence_ids):
            values = tuple(found[name][row][place] for name in TAGS)
            key = sequence, found["input_ids"][row][place], spans and found["offset_mapping"][row][place]
            if sequence is None:
                assert values[1:] == (-1, -1)
            else:
                assert values in known[key]
                seen[sample].add(key)
        assert {key for key in known if key[0] is not None} >= seen[sample]
    for sample, encoding in enumerate(whole.encodings):
        there = zip(encoding.sequence_ids, encoding.ids, encoding.offsets, strict=True)
        assert {(of, token, spans and span) for of, token, span in there if of is not None} == seen[sample]


def test_one_text_under_the_tokenizers_name_is_no_batch():
    annotate = annotator()
    one, batch = annotate(text=TEXTS[0]), annotate(TEXTS[0])
    assert all(batch[name] == [one[name]] for name in one)
    assert one.word_ids() == tokenizer("wordpiece")(TEXTS[0]).word_ids()
    pairs = annotate(text=list(zip(TEXTS, PAIRS, strict=True)))
    assert pairs.data == annotate(TEXTS, PAIRS).data


WRONG = [
    ({"text_target": TEXTS}, "takes no 'text_target'; .*targets to its tokenizer"),
    ({"paddin": True}, "takes no 'paddin'; it takes max_length, .*padding, "),
    (
        {"padding": "long"},
        'padding must be True, False or one of "longest", "max_length", "do_not_pad", but is \'long\'',
    ),
    ({"padding": 3}, "padding must be"),
    ({"truncation": "both"}, "truncation must be True, False or one of .*but is 'both'"),
    ({"padding": "max_length"}, 'padding="max_length" needs max_length'),
    ({"padding_side": "top"}, "padding_side must be"),
    ({"stride": -1}, "stride must be a whole number.* but is -1"),
    ({"stride": "2"}, "stride must be a whole number.* but is '2'"),
    (
        {"stride": 4, "max_length": 6, "return_overflowing_tokens": True},
        "stride must be a whole number below 4, .*is 4",
    ),
    ({"padding": False, "return_tensors": "pt"}, "differ in length.*padding=True"),
    ({"padding": True, "pad_to_multiple_of": 8, "max_length": 13}, "cannot encode the texts so: .*13"),
    ({"text_pair": PAIRS, "truncation": "only_second", "max_length": 6}, "cannot encode the texts so: .*short"),
    ({"texts": TEXTS}, "either first or as text="),
    ({"spaces": [[True]]}, "is_split_into_words=True"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_cannot_be_done_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message) as raised:
        annotator()(**{"text": TEXTS, **arguments})
    assert "\n" not in str(raised.value)
