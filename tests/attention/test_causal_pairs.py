"""Pairs of causal models, counted by runs of keys, and the keys that later tokens read, against the oracle's masks."""

import numpy as np
import pytest
import torch
from helpers.strategies import grammars
from hypothesis import given, settings
from hypothesis import strategies as st

from grammask.attention.causal_pairs import CausalText, count_causal_pairs
from grammask.attention.inputs import Annotation
from grammask.attention.later_keys import later_keys
from grammask.attention.position_mask import PositionMask
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tables import compile_layers
from grammask.grammar.tags import TAGS, UNK, UPOS

BAND = Grammar("band", (Rule(UPOS, UPOS, Reach("words", -256, 0)),))
HEADS, LAYERS, KEY_HEADS = 4, 3, 2
POSITIONS = [PositionMask(causal=True), PositionMask(causal=True, window=(3, 0)), PositionMask(causal=True)]


@st.composite
def texts(draw):
    """A text as a causal model reads it: words of a few tokens in order, sentences, and tokens without a word."""
    tags, words, sentences = [], [], []
    word = sentence = 0
    for length in draw(st.lists(st.integers(0, 3), min_size=1, max_size=8)):
        tag = draw(st.integers(0, len(UPOS) - 1))
        if length == 0:
            tags, words, sentences = [*tags, draw(st.integers(len(UPOS), UNK))], [*words, -1], [*sentences, -1]
            sentence += draw(st.booleans())
        tags, words, sentences = tags + [tag] * length, words + [word] * length, sentences + [sentence] * length
        word += draw(st.integers(0, 2)) if length else 1
    tags = [tag if TAGS[tag] != "[PAD]" else UNK for tag in tags]
    return CausalText(*(np.array(ids, dtype=np.int64) for ids in (tags, words, sentences)))


def oracle(tables, text):
    ids = (torch.from_numpy(ids)[None] for ids in (text.tags, text.words, text.sentences))
    return allowed_pairs(tables, **dict(zip(("tag_ids", "word_ids", "sentence_ids"), ids, strict=True)))


@given(grammars, texts())
@settings(max_examples=100)
def test_pairs_are_counted_as_the_oracle_allows_them(grammar, text):
    layers = compile_layers(grammar, layers=LAYERS, heads=HEADS)
    counted = count_causal_pairs(layers, text, POSITIONS)
    for tables, position, heads in zip(layers, POSITIONS, counted, strict=True):
        mask = oracle(tables, text) & position.allowed(len(text), len(text), torch.device("cpu"))
        assert mask.sum((0, 2, 3)).tolist() == heads.tolist()


FURTHER = [(tag, word) for tag in range(len(UPOS)) for word in range(5)]
NAMES = ("tag_ids", "word_ids", "sentence_ids")


def continuations(text):
    """Each part of speech as the tag of one more token, of the last word or of one of four after it."""
    tags, further = torch.tensor(FURTHER).unbind(1)
    word, sentence = max(int(text.words.max()), 0), max(int(text.sentences.max()), 0)
    return tags[:, None], word + further[:, None], torch.full((len(FURTHER), 1), sentence)


@given(grammars, texts())
@settings(max_examples=50)
def test_the_keys_that_later_tokens_read_are_those_of_all_texts_that_go_on(grammar, text):
    layers = compile_layers(grammar, layers=LAYERS, heads=HEADS)
    annotation = Annotation(*(torch.from_numpy(ids)[None] for ids in (text.tags, text.words, text.sentences)))
    for tables, position in zip(layers, POSITIONS, strict=True):
        longer = {
            name: torch.cat([ids.expand(len(FURTHER), -1), more], 1)
            for name, ids, more in zip(NAMES, vars(annotation).values(), continuations(text), strict=True)
        }
        read = allowed_pairs(tables, **longer)[:, :, -1, :-1].any(0).expand(HEADS, -1)
        read = read & position.allowed(1, len(text) + 1, torch.device("cpu"))[0, :-1]
        kept = later_keys(tables, annotation, key_heads=KEY_HEADS, position=position)
        assert kept[0].tolist() == read.view(KEY_HEADS, -1, len(text)).any(1).tolist()


def test_a_long_text_is_counted_in_a_moment():
    words = np.arange(20_000) // 2
    text = CausalText(words % len(UPOS), words, words // 20)
    (counted,) = count_causal_pairs(compile_layers(BAND, layers=1, heads=1), text, POSITIONS[:1])
    assert counted.tolist() == [sum(min(2 * word, 512) + place for word in range(10_000) for place in (1, 2))]


@pytest.mark.parametrize("words", [[1, 0], [0, -1, 0]])
def test_words_that_go_back_or_in_pieces_are_refused(words):
    words = np.array(words)
    with pytest.raises(ValueError, match="in order"):
        CausalText(words, words, words)
