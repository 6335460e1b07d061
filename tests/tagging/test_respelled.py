"""Pipelines that spell a text in their own way, as wrappers of UDPipe and Stanza do: words stay at their places.

Such a pipeline makes a document of its own words: it joins spaces, and splits what stands for several words.
"""

import re
from itertools import chain, pairwise

import numpy as np
import pytest
import spacy
from helpers.tokenizers_for_tests import tokenizer
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc

import grammask
from grammask.errors import TaggingError
from grammask.tagging.respelled import place_words
from grammask.tagging.tagger import TaggedText

SEVERAL = {
    "du": ("de", "le"), "zum": ("zu", "dem"), "del": ("de", "el"), "don't": ("do", "n't"), "vámonos": ("vamos", "nos"),
}  # fmt: skip
PLAIN = ("film", "old", "de", "dem", "el", "10", "naïve", "😀")


def wrapped(taggings):
    """Return a pipeline whose tokenizer tags and spells words by `taggings`: of each run, its words with their tags."""
    nlp = spacy.blank("xx")

    class Wrapper:
        def __call__(self, text):
            words = [found for run in text.split() for found in taggings.get(run, [(run, "X")])]
            return Doc(
                nlp.vocab, words=[word for word, _ in words], pos=[tag for _, tag in words],
                sent_starts=[place == 0 for place in range(len(words))],
            )  # fmt: skip

        def to_bytes(self, **_):
            return b""

    nlp.tokenizer = Wrapper()
    return nlp


def test_tokens_have_the_tags_of_their_own_words():
    nlp = wrapped({
        "It": [("It", "PRON")], "is": [("is", "AUX")], "a": [("a", "DET")], "film.": [("film", "NOUN"), (".", "PUNCT")]
    })  # fmt: skip
    annotate = grammask.Annotator(tokenizer("wordpiece"), nlp, cache=False)
    expected = ["[CLS]", "PRON", "AUX", "DET", "NOUN", "PUNCT", "[SEP]"]
    for text in ("It is a film.", "  It   is\na  film. "):
        found = annotate(text)
        tags = dict(zip(found["word_ids"][0], found["tag_ids"][0], strict=True))
        assert [grammask.TAGS[tag] for tag in [*tags.values()][1:]] == expected[1:-1]


def placed(words, text):
    """Return the places of words that a pipeline spells with a space between them, each with its number."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    columns = (ends - [len(word) for word in words], ends, np.arange(len(words)), np.zeros(len(words)))
    found = place_words(TaggedText(*(column.astype(np.int32) for column in columns)), " ".join(words), text, "t")
    return [*zip(found.starts.tolist(), found.ends.tolist(), found.tag_ids.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("Le prix du  livre.", "Le prix de le livre .", "Le|Le prix|prix du|de livre|livre .|."),
        ("Er geht zum, zum Haus", "Er geht zu dem , zu dem Haus", "Er|Er geht|geht zum|zu ,|, zum|zu Haus|Haus"),
        ("\nZum Haus", "Zu dem Haus", "Zum|Zu Haus|Haus"),
        ("el del el", "el de el el", "el|el del|de el|el"),
        ("(al fin)", "( a el fin )", "(|( al|a fin|fin )|)"),
        ("dámelo ya", "dá me lo ya", "dá|dá me|me lo|lo ya|ya"),
        ("l'eau du roi", "l' eau de le roi", "l'|l' eau|eau du|de roi|roi"),
        ("10 000 films", "10000 films", "10 000|10000 films|films"),
    ],
)
def test_what_stands_for_several_words_is_one_with_the_tag_of_the_first(text, words, expected):
    words = words.split()
    found = [f"{text[start:end]}|{words[word]}" for start, end, word in placed(words, text)]
    assert " ".join(found) == expected


@given(
    runs=st.lists(st.tuples(st.sampled_from(PLAIN), st.sampled_from(["", *SEVERAL])), max_size=12),
    space=st.sampled_from([" ", "  ", "\n "]),
)
def test_every_word_is_found_where_it_was_written(runs, space):
    runs = [run for run in chain.from_iterable(runs) if run]
    text, words, expected = space.join(["first", *runs]), ["first"], [(0, 5, 0)]
    for run, found in zip(runs, [*re.finditer(r"\S+", text)][1:], strict=True):
        start, end = found.span()
        own = SEVERAL.get(run, (run,))
        if "".join(own) == run:
            cuts = [start, *(start + np.cumsum([len(word) for word in own])).tolist()]
            expected += [(*cut, len(words) + place) for place, cut in enumerate(pairwise(cuts))]
        else:
            expected.append((start, end, len(words)))
        words += own
    assert placed(words, text) == expected


def test_words_that_are_not_in_the_text_are_refused():
    with pytest.raises(
        TaggingError, match=r"tagger t spells a text so that its words cannot be found in it: 'one two'"
    ):
        placed([f"other{number}" for number in range(40)], "one two")
