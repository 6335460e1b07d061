"""A corpus in parts: every row is answered or told as bad once, whatever happens in between. No Ray here."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.lexicon import LexiconTagger
from hypothesis import given
from hypothesis import strategies as st

from grammask.data.corpus.annotate_corpus import annotate_corpus
from grammask.data.corpus.batch_tagger import BatchTagger
from grammask.data.corpus.corpus_parts import find_parts
from grammask.data.corpus.manifest import MANIFEST
from grammask.data.corpus.read_part import read_part
from grammask.data.corpus.write_part import BAD_ROWS
from grammask.errors import ExperimentError, InputError, TaggingError

BAD = [
    b"{broken", b"[1]", b'{"id": 1}', b'{"text": 5}', b'{"text": null}', b'{"text": " "}', b'{"text": "\\ud800"}',
    b'{"text": "caf\xe9"}', b'{"text": "a", "text": "b"}', b"[" * 100_000,
]  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    """Two files of 23 and 20 rows with texts, and what is no data."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    lines = [json.dumps({"text": f"Dogs bark {number}", "id": number}) for number in range(23)]
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    table = pa.table({"text": [f"Cats sleep {number}" for number in range(20)], "id": list(range(20))})
    pq.write_table(table, folder / "deep" / "b.parquet", row_group_size=8)
    for name in ("_hidden.jsonl", ".hidden.jsonl", "README.md"):
        (folder / name).write_text("no data", encoding="utf-8")
    return folder


def one_by_one(write, parts):
    return (write.attempt(part) for part in parts)


def annotate(corpus, out, *, run=one_by_one, make=None, **more):
    say = lambda _: None  # noqa: E731
    passing = lambda waiting, *_: waiting  # noqa: E731
    make = make or BatchTagger(LexiconTagger())
    return annotate_corpus(corpus, out, make, run=run, progress=passing, say=say, **{"part_rows": 5, **more})


def rows(out):
    found = [row for file in sorted(out.rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return sorted(found, key=lambda row: row["text"])


def bad(out):
    return [json.loads(line) for file in sorted(out.rglob("*.jsonl")) for line in file.read_text().splitlines()]


def test_every_row_is_answered_once_by_what_the_tagger_says(corpus, tmp_path):
    summary = annotate(corpus, tmp_path / "out", keep=("id",))
    assert (summary.rows, summary.bad, summary.parts) == (43, 0, 5 + 5)
    found = rows(tmp_path / "out")
    assert sorted(row["text"] for row in found) == sorted({row["text"] for row in found})
    direct = BatchTagger(LexiconTagger())({"text": [row["text"] for row in found]})
    for name in ("words", "tags", "starts", "ends", "sentence_ids"):
        assert [row[name] for row in found] == direct[name]
    assert all(int(row["id"]) == row["row"] == int(row["text"].split()[-1]) for row in found)
    assert not (tmp_path / "out" / BAD_ROWS).exists()
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["finished"]["rows"] == 43


@given(st.lists(st.sampled_from([b'{"text": "a dog"}', *BAD[:-1], b""]), max_size=30), st.integers(1, 9))
def test_rows_of_lines_are_parted_without_loss(tmp_path_factory, lines, part_rows):
    file = tmp_path_factory.mktemp("lines") / "a.jsonl"
    file.write_bytes(b"\n".join(lines))
    parts = list(find_parts("a.jsonl", file, part_rows, ("text",)))
    numbers = [number for part in parts for number in read_part(part, "text", ()).numbers]
    assert numbers == [number for number, line in enumerate(lines) if line]
    assert all(part.rows <= part_rows for part in parts)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 12))
def test_rows_of_tables_are_parted_without_loss(tmp_path_factory, size, part_rows, group):
    file = tmp_path_factory.mktemp("table") / "a.parquet"
    pq.write_table(pa.table({"text": [str(number) for number in range(size)]}), file, row_group_size=group)
    parts = [read_part(part, "text", ()) for part in find_parts("a", file, part_rows, ("text",))]
    assert [text for part in parts for text in part.texts] == [str(number) for number in range(size)]
    assert [number for part in parts for number in part.numbers] == list(range(size))


def test_bad_lines_are_told_with_their_reasons_and_stop_nothing(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([b'{"text": "a dog"}', *BAD, b"", b'{"text": "a cat"}']) + b"\n")
    summary = annotate(file, tmp_path / "out")
    assert (summary.rows, summary.bad) == (2, len(BAD))
    told = bad(tmp_path / "out")
    assert sorted(row["row"] for row in told) == list(range(1, len(BAD) + 1))
    reasons = {row["row"]: row["reason"] for row in told}
    expected = ["JSON", "object", "column", "int", "no text", "blank", "surrogate", "UTF-8", "twice", "deep"]
    for number, words in enumerate(expected, start=1):
        assert words in reasons[number]
    assert [row["row"] for row in rows(tmp_path / "out")] == [len(BAD) + 2, 0]


def test_bad_cells_of_a_table_are_told(tmp_path):
    texts = pa.array([b"a dog", b"caf\xe9", None], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": pa.array(["a dog", "a dog"]).dictionary_encode()}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "c.parquet")
    for name, good, why in (("a", 1, ["UTF-8", "no text"]), ("b", 2, []), ("c", 0, ["int", "int"])):
        summary = annotate(tmp_path / f"{name}.parquet", tmp_path / name)
        assert (summary.rows, summary.bad) == (good, len(why))
        assert all(words in row["reason"] for words, row in zip(why, bad(tmp_path / name), strict=True))


FOREIGN = {
    "far date": pa.array([10**8, None, 1], pa.date32()),
    "far time": pa.array([2**62, None, 1], pa.timestamp("us")),
    "unknown zone": pa.array([1, None, 2], pa.timestamp("us", "No/Where")),
    "view": pa.array([b"x", None, b"y"], pa.binary_view()),
    "views": pa.array([["x"], None, []], pa.list_(pa.string_view())),
    "number": pa.array([float("nan"), None, 1.0]),
    "struct": pa.array([{"text": "x"}, None, {"text": "y"}]),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_column_of_any_type_is_kept_and_is_no_text(tmp_path, kind):
    table = pa.table({"text": ["a dog", None, "a cat"], "id": FOREIGN[kind]})
    pq.write_table(table, tmp_path / "a.parquet")
    summary = annotate(tmp_path / "a.parquet", tmp_path / "kept", keep=("id",))
    assert (summary.rows, summary.bad, summary.failed) == (2, 1, ())
    kept = pq.read_table(tmp_path / "kept")["id"].cast(table["id"].type).combine_chunks()
    assert kept.slice(1).equals(table["id"].combine_chunks().slice(2))
    summary = annotate(tmp_path / "a.parquet", tmp_path / "read", make=BatchTagger(LexiconTagger(), column="id"))
    assert (summary.rows, summary.bad, summary.failed) == (0, 3, ())
    assert all(
        row["reason"].startswith(("the text is no string", "there is no text")) for row in bad(tmp_path / "read")
    )


@pytest.mark.parametrize("doubled", ["text", "id"])
def test_a_column_that_is_there_twice_is_refused(tmp_path, doubled):
    columns = [pa.array(["a dog"])] * 3
    pq.write_table(pa.Table.from_arrays(columns, names=["text", "id", doubled]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=f"has 2 columns '{doubled}'"):
        annotate(tmp_path / "a.parquet", tmp_path / "out", keep=("id",))


@pytest.mark.parametrize("content", [b"", b"PAR1", {}, {"grammask": "{"}, {"grammask": "[]"}, {"grammask": '{"x": 1}'}])
def test_a_part_that_was_damaged_is_told(corpus, tmp_path, content):
    annotate(corpus, tmp_path / "out")
    part = min((tmp_path / "out").rglob("*.parquet"))
    if isinstance(content, bytes):
        part.write_bytes(content)
    else:
        pq.write_table(pa.table({"text": ["x"]}).replace_schema_metadata(content), part)
    with pytest.raises(ExperimentError, match="is damaged, or was not made by this command") as raised:
        annotate(corpus, tmp_path / "out")
    assert "\n" not in str(raised.value)
    part.unlink()
    assert annotate(corpus, tmp_path / "out").rows == 43


class Picky(LexiconTagger):
    """A tagger that cannot tag what holds a 7, and cannot run at all where it is `broken`."""

    broken = False

    def tag(self, texts):
        if self.broken or any("7" in text for text in texts):
            raise TaggingError("no sevens here")
        return super().tag(texts)


def test_a_text_that_the_tagger_refuses_is_bad_and_its_neighbours_are_not(corpus, tmp_path):
    summary = annotate(corpus, tmp_path / "out", make=BatchTagger(Picky()))
    assert (summary.rows, summary.bad) == (39, 4)
    assert {row["reason"] for row in bad(tmp_path / "out")} == {"no sevens here"}


def test_a_tagger_that_cannot_run_makes_no_bad_rows_but_an_error(corpus, tmp_path):
    broken = Picky()
    broken.broken = True
    with pytest.raises(TaggingError, match="no sevens"):
        annotate(corpus, tmp_path / "out", make=BatchTagger(broken))
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize("moment", range(12))
def test_a_run_that_is_cut_off_at_any_part_goes_on(corpus, tmp_path, moment):
    class Killed(BaseException):
        pass

    def cut(write, parts):
        for number, part in enumerate(parts):
            if number == moment:
                raise Killed
            yield write(part)

    out = tmp_path / "out"
    (corpus / "a.jsonl").open("ab").write(b"\n{broken")
    try:
        annotate(corpus, out, run=cut)
    except Killed:
        (out / ".grammask-left.tmp").write_bytes(b"half a fi")
    whole = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    summary = annotate(corpus, out)
    assert summary.before == len(whole) == min(moment, 10)
    assert all(path.stat().st_mtime_ns == when for path, when in whole.items())
    assert (summary.rows, summary.bad, len(rows(out)), len(bad(out))) == (43, 1, 43, 1)
    assert not list(out.rglob("*.tmp"))


def test_a_part_that_is_made_twice_is_there_once(corpus, tmp_path):
    def twice(write, parts):
        for part in parts:
            write(part)
            yield write(part)

    annotate(corpus, tmp_path / "out", run=twice)
    assert len(rows(tmp_path / "out")) == 43


def test_a_part_whose_write_fails_leaves_nothing(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(ExperimentError, match="free some space"):
        annotate(corpus, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet*"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"part_rows": 6}, "part_rows was 5, is 6"),
        ({"keep": ("id",)}, "keep was"),
        ({"make": BatchTagger(LexiconTagger(), column="id")}, "column was 'text', is 'id'"),
    ],
)
def test_other_settings_are_refused_in_one_line(corpus, tmp_path, more, says):
    annotate(corpus, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ExperimentError, match=says):
        annotate(corpus, tmp_path / "out", **more)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


def test_a_corpus_that_changed_is_refused(corpus, tmp_path):
    annotate(corpus, tmp_path / "out")
    (corpus / "a.jsonl").open("ab").write(b'\n{"text": "more"}')
    with pytest.raises(ExperimentError, match=r"files a\.jsonl was \d+, is \d+"):
        annotate(corpus, tmp_path / "out")


def test_what_cannot_be_a_corpus_or_its_folder_is_refused(corpus, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 no")
    for source, out, error, says in (
        (corpus, tmp_path / "taken", ExperimentError, "isn't empty"),
        (corpus, corpus / "out", ExperimentError, "in the corpus"),
        (corpus, corpus, ExperimentError, "in the corpus"),
        (tmp_path / "missing", tmp_path / "out", InputError, "no such file"),
        (tmp_path / "empty", tmp_path / "out", InputError, "holds no file"),
        (tmp_path / "damaged.parquet", tmp_path / "out", InputError, "damaged.parquet: cannot be read"),
        (corpus / "README.md", tmp_path / "out", InputError, "must be a folder, or a file of"),
    ):
        with pytest.raises(error, match=says):
            annotate(source, out)
    with pytest.raises(InputError, match="has no column 'body', but 'text', 'id'"):
        annotate(corpus / "deep", tmp_path / "out", make=BatchTagger(LexiconTagger(), column="body"))
    with pytest.raises(ExperimentError, match="--keep names 'tags'"):
        annotate(corpus, tmp_path / "out", keep=("tags",))
    assert not (tmp_path / "out").exists()


def test_a_file_that_goes_bad_is_told_and_the_others_are_made(corpus, tmp_path):
    def torn(write, parts):
        (corpus / "deep" / "b.parquet").write_bytes(b"PAR1")
        return one_by_one(write, parts)

    summary = annotate(corpus, tmp_path / "out", run=torn)
    assert len(summary.failed) == 5
    assert "b.parquet" in summary.failed[0]
    assert summary.rows == 23
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["finished"] is None


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_another_file_of_the_same_name_is_never_read_for_it(corpus, tmp_path, suffix):
    """As where it changes while the command runs, or another machine has its own; the size stays the same."""

    def exchanged(write, parts):
        yield write.attempt(parts[0])
        for file in corpus.rglob(f"*.{suffix}"):
            texts = pa.table({"text": [f"Cows sleep {number}" for number in range(20)], "id": list(range(20))})
            if suffix == "parquet":
                pq.write_table(texts, file, row_group_size=8)
            else:
                file.write_text(file.read_text().replace("Dogs bark", "Cows bark"))
        yield from one_by_one(write, parts[1:])

    with pytest.raises(InputError, match=rf"[ab]\.{suffix} doesn't hold what it held when the command began; leave"):
        annotate(corpus, tmp_path / "out", run=exchanged)
    assert not [row for row in rows(tmp_path / "out") if "Cows" in row["text"]]
