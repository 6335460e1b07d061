"""spaCy behind the protocol, and the cache on disk."""

import ast
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.tokenizers_for_tests import PatternTagger

import grammask
from grammask.errors import TaggingError
from grammask.grammar.tags import TAGS
from grammask.tagging import load_tagger
from grammask.tagging.spacy_tagger import DEFAULT_PIPELINE, SpacyTagger
from grammask.tagging.tag_cache import CachedTagger, cache_file

TEXT = "The old dog didn't bark.  It\tslept 😀!"


@pytest.fixture(scope="module")
def spacy_tagger():
    pytest.importorskip("spacy")
    return SpacyTagger()


def words(text, tagged):
    return [text[start:end] for start, end in zip(tagged.starts, tagged.ends, strict=True)]


def test_spacy_gives_words_tags_and_sentences(spacy_tagger):
    (tagged,) = spacy_tagger.tag([TEXT])
    assert words(TEXT, tagged) == ["The", "old", "dog", "did", "n't", "bark", ".", "It", "slept", "😀", "!"]
    tags = [TAGS[tag] for tag in tagged.tag_ids]
    assert tags[:7] == ["DET", "ADJ", "NOUN", "AUX", "PART", "VERB", "PUNCT"]
    assert tagged.sentence_ids.tolist() == [0] * 7 + [1] * 4


def test_spacy_equals_its_own_documents(spacy_tagger):
    texts = ["", " ", "One. Two! Three?", "Dr. Smith isn't here", TEXT * 20]
    for text, tagged in zip(texts, spacy_tagger.tag(texts), strict=True):
        doc = spacy_tagger._nlp(text)
        expected = [token for token in doc if not token.is_space]
        assert words(text, tagged) == [token.text for token in expected]
        assert [TAGS[tag] for tag in tagged.tag_ids] == [token.pos_ for token in expected]


def test_sentences_may_come_from_the_parser_and_the_parser_is_off_otherwise(spacy_tagger):
    assert "parser" not in spacy_tagger._nlp.pipe_names
    parsing = SpacyTagger(sentences="parser")
    assert "parser" in parsing._nlp.pipe_names
    assert parsing.version != spacy_tagger.version
    (tagged,) = parsing.tag(["I came. I saw."])
    assert tagged.sentence_ids.tolist() == [0, 0, 0, 1, 1, 1]


def test_several_processes_answer_the_same(spacy_tagger):
    texts = [f"Sentence number {number} is short." for number in range(40)]
    for one, other in zip(spacy_tagger.tag(texts), SpacyTagger(processes=2, batch_size=10).tag(texts), strict=True):
        assert np.array_equal(one.tag_ids, other.tag_ids)


def test_another_language_works_and_a_pipeline_without_tags_is_refused(tmp_path):
    spacy = pytest.importorskip("spacy")
    blank = spacy.blank("de")
    blank.to_disk(tmp_path / "blank")
    with pytest.raises(TaggingError, match="gave no Universal POS tag to 'Ein Satz'"):
        list(SpacyTagger(str(tmp_path / "blank")).tag(["Ein Satz"]))
    ruler = blank.add_pipe("attribute_ruler")
    ruler.add([[{"LOWER": "ein"}]], {"POS": "DET"})
    ruler.add([[{"LOWER": "satz"}]], {"POS": "NOUN"})
    blank.to_disk(tmp_path / "ruled")
    (tagged,) = SpacyTagger(str(tmp_path / "ruled")).tag(["Ein Satz"])
    assert [TAGS[tag] for tag in tagged.tag_ids] == ["DET", "NOUN"]


@pytest.mark.parametrize(
    "name", ["torch", "numpy", "spacy", "typer", "json", "blank:en", "/nowhere/x", "~nobody/x", ""]
)
def test_what_is_no_pipeline_is_refused_without_advice_to_download_it(name):
    with pytest.raises(
        TaggingError, match="^no tagger .*neither an installed spaCy pipeline nor a folder; use"
    ) as told:
        SpacyTagger(name)
    assert "download" not in str(told.value)


def test_a_module_that_is_no_pipeline_is_not_imported(monkeypatch, tmp_path):
    (tmp_path / "not_a_pipeline.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TaggingError, match="no tagger 'not_a_pipeline'"):
        SpacyTagger("not_a_pipeline")


DAMAGED = (
    "meta.json",
    "config.cfg",
    "tokenizer",
    "vocab/strings.json",
    "tagger/cfg",
    "tagger/model",
    "vocab/vectors.cfg",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    nlp = pytest.importorskip("spacy").blank("en")
    nlp.add_pipe("tagger").add_label("NOUN")
    nlp.initialize()
    nlp.add_pipe("attribute_ruler").add([[{"NORM": {"REGEX": "."}}]], {"POS": "VERB"})
    folder = tmp_path_factory.mktemp("pipeline") / "trained"
    nlp.to_disk(folder)
    return folder


@pytest.mark.parametrize("file", DAMAGED)
@pytest.mark.parametrize("content", [b"[1]", None])
def test_a_damaged_pipeline_is_one_line_of_its_folder(trained, tmp_path, file, content):
    folder = shutil.copytree(trained, tmp_path / "damaged")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    if (file, content) == ("vocab/vectors.cfg", None):  # older pipelines have none
        assert trained_tags(folder) == trained_tags(trained) == [[TAGS.index("VERB")] * 3]
        return
    with pytest.raises(
        TaggingError, match=r"^tagger '[^\n]*' cannot (be loaded|run): [^\n]+; install or save it anew$"
    ):
        trained_tags(folder)


def trained_tags(folder):
    tagger = SpacyTagger(str(folder))
    assert tagger.version
    return [tagged.tag_ids.tolist() for tagged in tagger.tag(["Dogs bark."])]


def test_what_is_missing_is_named(spacy_tagger, monkeypatch):
    with pytest.raises(TaggingError, match=r"no tagger 'xx_nothing'.*install"):
        SpacyTagger("xx_nothing")
    with pytest.raises(TaggingError, match='"sentencizer" or "parser", but is \'senter\''):
        SpacyTagger(sentences="senter")
    with pytest.raises(TaggingError, match="at most"):
        list(spacy_tagger.tag(["x" * 1_000_001]))
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(TaggingError, match=r"needs spaCy.*pip install 'grammask\[spacy,offline\]'"):
        SpacyTagger()


def test_a_second_run_does_not_tag(tmp_path):
    texts = ["One two.", "Three!", "One two.", ""]
    path = tmp_path / "deep" / "tags.sqlite"
    first = CachedTagger(PatternTagger(), path)
    fresh = list(first.tag(texts))
    assert (first.texts_tagged, first.texts_from_cache) == (3, 1)
    inner = PatternTagger()
    second = CachedTagger(inner, path)
    cached = list(second.tag(texts))
    assert inner.seen == []
    assert (second.texts_tagged, second.texts_from_cache) == (0, 4)
    for one, other in zip(fresh, cached, strict=True):
        for column in ("starts", "ends", "tag_ids", "sentence_ids"):
            assert np.array_equal(getattr(one, column), getattr(other, column))


def test_another_version_tags_anew_and_an_interrupted_run_keeps_what_it_has(tmp_path):
    path = tmp_path / "tags.sqlite"
    running = CachedTagger(PatternTagger(), path).tag(["One", "Two", "Three"])
    next(running)
    running.close()
    inner = PatternTagger()
    list(CachedTagger(inner, path).tag(["One", "Two", "Three"]))
    assert inner.seen == ["Two", "Three"]
    newer = PatternTagger("2")
    list(CachedTagger(newer, path).tag(["One"]))
    assert newer.seen == ["One"]


def test_a_damaged_cache_is_named_and_not_worked_around(tmp_path):
    path = tmp_path / "tags.sqlite"
    path.write_bytes(b"not a database, but long enough to look at it twice")
    with pytest.raises(TaggingError, match=r"tags\.sqlite.*delete the file"):
        list(CachedTagger(PatternTagger(), path).tag(["One"]))


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path))
    assert cache_file() == tmp_path / "tags.sqlite"


def test_a_tagger_is_added_by_its_name(monkeypatch):
    made = []
    monkeypatch.setitem(load_tagger.TAGGERS, "pattern", lambda *how: made.append(how) or PatternTagger())
    tagger = load_tagger.load_tagger("pattern", sentences="parser")
    assert (tagger.name, len(*tagger.tag(["Two words"]))) == (PatternTagger.name, 2)
    assert made == [("pattern", "parser")]
    assert load_tagger.load_tagger("en_core_web_sm").version == load_tagger.load_tagger().version
    with pytest.raises(TaggingError, match="no tagger 'patern'"):
        load_tagger.load_tagger("patern")
    with pytest.raises(TaggingError, match='sentences must be "sentencizer" or "parser", but is \'none\''):
        load_tagger.load_tagger("pattern", sentences="none")


def test_the_default_is_named_once():
    files = Path(grammask.__file__).parent.rglob("*.py")
    constants = [
        (file.name, node.value)
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant)
    ]
    assert [name for name, value in constants if value == DEFAULT_PIPELINE] == ["spacy_tagger.py"]
