"""The tagger that comes with grammask: it needs no spaCy and no network, is small, and reads English."""

from helpers.fresh_process import run_fresh
from helpers.tokenizers_for_tests import tokenizer

import grammask
from grammask.grammar.tags import TAGS
from grammask.tagging.load_tagger import load_tagger
from grammask.tagging.shipped_taggers import ENGLISH, SHIPPED, tagger_folder
from grammask.tagging.subwords.subword_tagger import SubwordTagger

READS = [
    ("She quickly opened the old door.", "PRON ADV VERB DET ADJ NOUN PUNCT"),
    ("Mary and John flew to Paris in 1998.", "PROPN CCONJ PROPN VERB ADP PROPN ADP NUM PUNCT"),
    ("They will not answer if nobody asks.", "PRON AUX PART VERB SCONJ PRON VERB PUNCT"),
]


def test_english_texts_have_their_tags():
    found = load_tagger(ENGLISH).tag([text for text, _ in READS])
    assert [" ".join(TAGS[tag] for tag in each.tag_ids) for each in found] == [tags for _, tags in READS]


def test_capitals_tell_names_from_nouns():
    text = "Later we saw Hope and Grace again."
    names, nouns = ([TAGS[tag] for tag in each.tag_ids] for each in load_tagger(ENGLISH).tag([text, text.lower()]))
    assert (names[3], names[5]) == ("PROPN", "PROPN")
    assert (nouns[3], nouns[5]) == ("NOUN", "NOUN")


def test_it_needs_neither_spacy_nor_a_network():
    code = """
import socket, sys
sys.modules["spacy"] = None
def refuse(*_): raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = refuse
from grammask.tagging.load_tagger import load_tagger
(tagged,) = load_tagger("english-subwords").tag(["Dogs bark loudly."])
print(tagged.tag_ids.tolist(), "spacy" in sys.modules and sys.modules["spacy"])
"""
    (here,) = load_tagger(ENGLISH).tag(["Dogs bark loudly."])
    assert run_fresh(code).stdout.strip() == f"{here.tag_ids.tolist()} None"


def test_shipped_taggers_are_small_and_named_by_their_folders():
    for name in SHIPPED:
        folder = tagger_folder(name)
        assert SubwordTagger.load(name).name == name
        assert sum(file.stat().st_size for file in folder.iterdir()) < 5_000_000
        assert (folder.parent / f"LICENSE-{name}").is_file()


def test_it_is_saved_with_an_annotator_and_stated_by_its_content(tmp_path):
    annotate = grammask.Annotator(tokenizer("bytes"), tagger=ENGLISH, cache=False)
    annotate.save_pretrained(tmp_path)
    again = grammask.Annotator.from_pretrained(tmp_path, cache=False)
    assert again.settings == annotate.settings
    assert annotate.settings.tagger.fingerprint == SubwordTagger.load(tmp_path).settings.fingerprint
