"""The cache of tags: keyed by what is in a pipeline, and damage is never read as an answer."""

import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from helpers.tokenizers_for_tests import PatternTagger

from grammask.errors import TaggingError
from grammask.grammar.tags import TAG_IDS, TAGS
from grammask.tagging import tag_cache as cache
from grammask.tagging.packed import pack, unpack
from grammask.tagging.spacy_tagger import SpacyTagger
from grammask.tagging.tag_cache import CachedTagger
from grammask.tagging.tagger import TaggedText

TEXT = "One two. Three four!"
KEY = b"k" * 32
COLUMNS = ("starts", "ends", "tag_ids", "sentence_ids")


def words(**changes):
    whole = {
        "starts": [0, 4, 7, 9, 15, 19], "ends": [3, 7, 8, 14, 19, 20], "tag_ids": [7, 7, 12, 7, 7, 12],
        "sentence_ids": [0, 0, 0, 1, 1, 1],
    }  # fmt: skip
    return TaggedText(*(np.array({**whole, **changes}[name], dtype=np.int32) for name in COLUMNS))


VALUE = pack(words(), KEY)


def flipped(position, bit=0):
    changed = bytearray(VALUE)
    changed[position] ^= 1 << bit
    return bytes(changed)


# Every kind of value that isn't what was written: cut, longer, moved, of another type, another text's.
DAMAGE = {
    "nothing": None,
    "no bytes": b"",
    "a whole number": 7,
    "a number": 1.5,
    "text": "tags",
    "text of its own bytes": VALUE.decode("latin1"),
    "half": VALUE[: len(VALUE) // 2],
    "a byte less": VALUE[:-1],
    "a byte less in front": VALUE[1:],
    "a byte more": VALUE + b"\0",
    "a byte more in front": b"\0" + VALUE,
    "a word less": VALUE[:-20] + VALUE[-16:],
    "twice": VALUE * 2,
    "the checksum only": VALUE[-16:],
    "no checksum": VALUE[:-16],
    "zeros": bytes(len(VALUE)),
    "ones": b"\xff" * len(VALUE),
    "backwards": VALUE[::-1],
    "the format before": VALUE[8:-16],
    "another format": b"gmt9" + VALUE[4:],
    "a length of 0": VALUE[:4] + bytes(4) + VALUE[8:],
    "a length beyond all": VALUE[:4] + b"\xff" * 4 + VALUE[8:],
    "another text's": pack(words(), b"o" * 32),
    "columns exchanged": VALUE[:8] + VALUE[32:56] + VALUE[8:32] + VALUE[56:],
    "two words exchanged": VALUE[:8] + VALUE[12:16] + VALUE[8:12] + VALUE[16:],
    **{
        f"bit {bit} of byte {byte}": flipped(byte, bit)
        for byte in (0, 4, 8, 31, 40, 57, 80, 100, 104, -1)
        for bit in (0, 7)
    },
}
# What is whole by its checksum, but cannot be the words of the text.
WRONG = {
    "a word before the text": words(starts=[-1, 4, 7, 9, 15, 19]),
    "a word beyond the text": words(ends=[3, 7, 8, 14, 19, 21]),
    "a word without letters": words(starts=[3, 4, 7, 9, 15, 19]),
    "a word that ends before it starts": words(starts=[0, 8, 8, 9, 15, 19]),
    "words out of order": words(starts=[4, 0, 7, 9, 15, 19], ends=[7, 3, 8, 14, 19, 20]),
    "no tag of a word": words(tag_ids=[7, 7, 12, 7, 7, TAG_IDS["[CLS]"]]),
    "a tag beyond all": words(tag_ids=[7, 7, 12, 7, 7, len(TAGS)]),
    "a tag below all": words(tag_ids=[-1, 7, 12, 7, 7, 12]),
    "a sentence below all": words(sentence_ids=[-1, 0, 0, 1, 1, 1]),
    "sentences out of order": words(sentence_ids=[0, 1, 0, 1, 1, 1]),
}


def test_what_was_packed_comes_back():
    for tagged, text in ((words(), TEXT), (TaggedText(*np.zeros((4, 0), dtype=np.int32)), "")):
        found = unpack(pack(tagged, KEY), KEY, text)
        for name in COLUMNS:
            assert np.array_equal(getattr(found, name), getattr(tagged, name))
            assert getattr(found, name).dtype == np.int32


@pytest.mark.parametrize("kind", [*DAMAGE, *WRONG])
def test_a_damaged_value_is_tagged_anew_and_mended(tmp_path, kind):
    path = tmp_path / "tags.sqlite"
    first = CachedTagger(PatternTagger(), path)
    (fresh, _) = first.tag([TEXT, "Other."])
    key = first._key(TEXT)
    value = pack(WRONG[kind], key) if kind in WRONG else DAMAGE[kind]
    assert unpack(value, key, TEXT) is None
    assert kind in WRONG or unpack(value, KEY, TEXT) is None
    with sqlite3.connect(path) as database:
        assert database.execute("UPDATE tags_2 SET value = ? WHERE key = ?", (value, key)).rowcount == 1
    database.close()
    for times in (1, 0):  # tagged anew once, and found in the cache after that
        inner = PatternTagger()
        (cached,) = CachedTagger(inner, path).tag([TEXT])
        assert inner.seen == [TEXT] * times
        for name in COLUMNS:
            assert np.array_equal(getattr(cached, name), getattr(fresh, name))


def test_the_table_of_damage_is_large_enough():
    assert len(DAMAGE) + len(WRONG) >= 42


@pytest.mark.parametrize("at", [0, 16, 24, 30, 100, 2000, 4096, 5000, 9000])
def test_a_damaged_file_gives_the_right_tags_or_an_error(tmp_path, at):
    path = tmp_path / "tags.sqlite"
    texts = [f"Text number {number}." for number in range(200)]
    fresh = list(CachedTagger(PatternTagger(), path).tag(texts))
    content = bytearray(path.read_bytes())
    content[at : at + 64] = b"\xa5" * 64
    path.write_bytes(content)
    try:
        cached = list(CachedTagger(PatternTagger(), path).tag(texts))
    except TaggingError as error:
        told, cached = str(error), fresh
    else:
        told = "delete the file"
    assert "delete the file" in told
    for one, other in zip(fresh, cached, strict=True):
        for name in COLUMNS:
            assert np.array_equal(getattr(one, name), getattr(other, name))
    assert path.stat().st_size == len(content)


def test_tags_of_the_format_before_are_not_read(tmp_path):
    path = tmp_path / "tags.sqlite"
    inner = PatternTagger()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE tags (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        key = CachedTagger(inner, path)._key(TEXT)
        database.execute("INSERT INTO tags VALUES (?, ?)", (key, np.zeros((4, 1), "<i4").tobytes()))
    database.close()
    list(CachedTagger(inner, path).tag([TEXT]))
    assert inner.seen == [TEXT]


def test_a_locked_cache_is_not_to_be_deleted(tmp_path, monkeypatch):
    path = tmp_path / "tags.sqlite"
    list(CachedTagger(PatternTagger(), path).tag([TEXT]))
    monkeypatch.setattr(cache, "_PATIENCE", 0.1)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TaggingError, match="database is locked; another process is writing to it: wait") as told:
            list(CachedTagger(PatternTagger(), path).tag(["More."]))
        other.execute("ROLLBACK")
    other.close()
    assert "delete" not in str(told.value)


def test_a_full_or_closed_cache_is_not_to_be_deleted(tmp_path, monkeypatch):
    path = tmp_path / "tags.sqlite"
    real = sqlite3.connect

    def small(*given, **others):
        database = real(*given, **others)
        database.execute("PRAGMA max_page_count = 3")
        return database

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(TaggingError, match="disk is full; .*free some space") as told:
        list(CachedTagger(PatternTagger(), path).tag([f"Text {number}." for number in range(900)]))
    assert "delete" not in str(told.value)
    monkeypatch.setattr(sqlite3, "connect", lambda at, **others: real(f"file:{at}?mode=ro", uri=True, **others))
    with pytest.raises(TaggingError, match="readonly database; set GRAMMASK_CACHE") as told:
        list(CachedTagger(PatternTagger(), path).tag(["Never seen."]))
    monkeypatch.undo()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "folder", tmp_path / "file" / "tags.sqlite"):
        with pytest.raises(TaggingError, match="set GRAMMASK_CACHE") as told:
            list(CachedTagger(PatternTagger(), wrong).tag([TEXT]))
        assert "delete" not in str(told.value)


def test_two_processes_fill_one_cache(tmp_path):
    path = tmp_path / "deep" / "tags.sqlite"
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from helpers.tokenizers_for_tests import PatternTagger\n"
        "from grammask.tagging.tag_cache import CachedTagger\n"
        "texts = [f'Text number {number}.' for number in range(int(sys.argv[3]), int(sys.argv[3]) + 3000)]\n"
        "assert sum(map(len, CachedTagger(PatternTagger(), Path(sys.argv[1])).tag(texts))) == 4 * 3000\n"
    )
    here = os.path.dirname(os.path.dirname(__file__))
    both = [
        subprocess.Popen([sys.executable, "-c", code, path, here, start], stderr=subprocess.PIPE)
        for start in ("0", "1000")
    ]
    for process in both:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told.decode()
    inner = PatternTagger()
    assert len(list(CachedTagger(inner, path).tag([f"Text number {number}." for number in range(4000)]))) == 4000
    assert inner.seen == []


def ruled(tmp_path, name, *, punct=None, pos="NOUN", norm=None, exception=None, vectors=False, called=None):
    """Save a pipeline of rules only: a tagger in no time, called as `spacy train` calls all of them."""
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    if punct:
        nlp.add_pipe("sentencizer", config={"punct_chars": punct})
    nlp.add_pipe("attribute_ruler").add([[{"NORM": {"REGEX": "."}}]], {"POS": pos})
    if norm:
        nlp.vocab.lookups.add_table("lexeme_norm", {norm: "x"})
    if exception:
        nlp.tokenizer.add_special_case(exception, [{"ORTH": exception[0]}, {"ORTH": exception[1:]}])
    if vectors:
        nlp.vocab.set_vector("dog", np.ones(3, dtype=np.float32))
    if called:
        nlp.meta["name"] = called
    nlp.to_disk(tmp_path / name)
    return SpacyTagger(str(tmp_path / name))


def test_pipelines_of_one_name_are_told_apart_by_what_is_in_them(tmp_path):
    given = [
        {}, {"pos": "VERB"}, {"norm": "dog"}, {"norm": "cat"}, {"exception": "dogs"}, {"exception": "cats"},
        {"vectors": True},
    ]  # fmt: skip
    taggers = [ruled(tmp_path, f"p{number}", **how) for number, how in enumerate(given)]
    assert {tagger.name for tagger in taggers} == {"en_pipeline"}
    versions = [tagger.version for tagger in taggers]
    assert len(set(versions)) == len(given)
    # What a pipeline and its file are called, and what it has read, changes nothing.
    again = ruled(tmp_path, "other", called="mine")
    list(again.tag(["Never seen before."]))
    assert SpacyTagger.version.func(again) == again.version == versions[0]
    path = tmp_path / "tags.sqlite"
    for tagger, tag in zip(taggers[:2], ("NOUN", "VERB"), strict=True):
        for _ in range(2):
            (tagged,) = CachedTagger(tagger, path).tag(["dogs"])
            assert [TAGS[word] for word in tagged.tag_ids] == [tag]


def test_a_pipeline_is_the_same_in_every_process(tmp_path):
    here = ruled(tmp_path, "p", punct=list("!.?;:")).version
    code = "import sys; from grammask.tagging.spacy_tagger import SpacyTagger; print(SpacyTagger(sys.argv[1]).version)"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "p"], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == here


TABLE = "CREATE TABLE tags_2 (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS key, x AS value FROM n"
SCHEMAS = {
    "an endless view": f"CREATE VIEW tags_2 AS {ENDLESS}",
    "a view in capitals": f"CREATE VIEW TAGS_2 AS {ENDLESS}",
    "a trigger": f"{TABLE}; CREATE TRIGGER t AFTER INSERT ON tags_2 BEGIN SELECT 1; END",
    "an index": f"{TABLE}; CREATE INDEX i ON tags_2 (hex(value))",
    "a check": "CREATE TABLE tags_2 (key BLOB PRIMARY KEY, value BLOB CHECK (length(value) > 9)) WITHOUT ROWID",
    "a computed column": "CREATE TABLE tags_2 (key BLOB PRIMARY KEY, value BLOB AS (key)) WITHOUT ROWID",
    "a virtual table": "CREATE VIRTUAL TABLE tags_2 USING fts5(key, value)",
    "other columns": "CREATE TABLE tags_2 (key, value, more)",
}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_only_a_plain_table_is_a_cache_and_nothing_in_the_file_runs(tmp_path, kind):
    path = tmp_path / "tags.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(SCHEMAS[kind])
    database.close()
    before = path.read_bytes()
    with pytest.raises(TaggingError, match=r"tags\.sqlite: tags_2 is no plain table; it is damaged.*delete the file"):
        list(CachedTagger(PatternTagger(), path).tag([TEXT]))
    assert path.read_bytes() == before


def test_other_tables_of_the_file_change_nothing(tmp_path):
    path = tmp_path / "tags.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(f"CREATE TABLE tags (key, value); CREATE VIEW v AS {ENDLESS}; {TABLE}")
    database.close()
    for tagged in (1, 0):
        tagger = CachedTagger(PatternTagger(), path)
        (found,) = tagger.tag([TEXT])
        assert tagger.texts_tagged == tagged
        assert found.starts.tolist() == [0, 4, 7, 9, 15, 19]
