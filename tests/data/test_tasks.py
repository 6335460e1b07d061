"""Tasks: what is read, how it is split, and that data which cannot be trusted is refused with its place named."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, constants

from grammask.data.film_reviews import film_review_texts, film_reviews
from grammask.data.labels import read_labels
from grammask.data.load_task import load_task
from grammask.data.task import Split
from grammask.errors import TaskError

ROWS = [("good film", "1"), ("bad film", "0"), ("fine", "1"), ("dull", "0")]


def delimited(rows=ROWS, *, header=("sentence", "label"), sep="\t"):
    return "".join(sep.join(row) + "\n" for row in ([header] if header else []) + list(rows))


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def many(count=200):
    return [(f"text number {index}", str(index % 2)) for index in range(count)]


@pytest.fixture
def folder(tmp_path):
    """Return a function that writes files, given by name, into a folder and returns the folder's path."""

    def write(**contents):
        for name, content in contents.items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(tmp_path)

    return write


# The built-in task


def test_the_shipped_sentences_are_those_of_their_readme():
    data = files("grammask") / "data"
    content = (data / "film_reviews.tsv").read_bytes()
    assert hashlib.sha256(content).hexdigest() in (data / "README.md").read_text(encoding="utf-8")
    assert b"\r" not in content
    lines = content.decode("utf-8").removesuffix("\n").split("\n")
    assert lines[0] == "id\trating\ttext"
    assert len(lines) == 1 + 10_605


def test_film_reviews_keep_each_rated_text_once():
    rows = [
        line.split("\t") for line in (files("grammask") / "data" / "film_reviews.tsv").read_text("utf-8").split("\n")
    ]
    first = {}
    for name, rating, text in rows[1:-1]:
        if float(rating) != 0:
            first.setdefault(text, (name, int(float(rating) > 0)))
    task = load_task("film-reviews")
    got = {}
    for split in (task.train, task.dev):
        got |= {text: pair for text, *pair in zip(split.texts, split.ids, split.labels, strict=True)}
    assert {text: tuple(pair) for text, pair in got.items()} == first
    assert len(task.train) + len(task.dev) == len(first)
    assert 900 <= len(task.dev) <= 1100
    assert f"{len(task.train):,} train" in task.note
    assert task.label_names == ("negative", "positive")
    assert task.sha256 == film_reviews().sha256
    assert film_review_texts() == task.dev.texts


def test_film_reviews_need_the_core_dependencies_only():
    code = (
        "import sys; import grammask.data.film_reviews as films; films.film_review_texts();"
        "print([name for name in ('pandas', 'datasets', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_built_in_task_has_no_columns():
    with pytest.raises(TaskError, match="built in"):
        load_task("film-reviews", text_column="text")


# Splits


def test_take_draws_by_seed_and_size_only():
    def split(count, mark):
        return Split(
            tuple(map(str, range(count))),
            tuple(f"{mark}{index}" for index in range(count)),
            None,
            (0, 1) * (count // 2),
        )

    drawn = split(100, "a").take(30, seed=3)
    assert drawn == split(100, "a").take(30, seed=3)
    assert drawn.ids == split(100, "b").take(30, seed=3).ids
    assert drawn.ids != split(100, "a").take(30, seed=4).ids
    assert list(map(int, drawn.ids)) == sorted(set(map(int, drawn.ids)))
    assert all(
        text == f"a{name}" and label == int(name) % 2
        for name, text, label in zip(drawn.ids, drawn.texts, drawn.labels, strict=True)
    )
    whole = split(100, "a")
    assert whole.take(None, seed=0) is whole
    assert whole.take(100, seed=0) is whole


# What is read


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl", "json", "parquet"])
def test_every_format_gives_the_same_task(folder, tmp_path, suffix):
    where = folder(dev__tsv=delimited())
    records = [{"sentence": text, "label": int(label)} for text, label in ROWS]
    if suffix == "parquet":
        pd.DataFrame(records).to_parquet(tmp_path / "train.parquet")
    else:
        content = {
            "tsv": delimited(), "csv": delimited(sep=","), "jsonl": json_lines(records), "json": json.dumps(records),
        }[suffix]  # fmt: skip
        folder(**{f"train__{suffix}": content})
    task = load_task(where)
    assert task.train.texts == task.dev.texts == ("good film", "bad film", "fine", "dull")
    assert task.train.labels == task.dev.labels == (1, 0, 1, 0)
    assert task.label_names == ("0", "1")
    assert task.train.ids == ("train-0", "train-1", "train-2", "train-3")
    assert "4 texts of dev are also in train" in task.note


def test_tsv_quotes_nothing_and_keeps_words_that_look_missing(folder):
    rows = [('"a quote', "1"), ("NA", "0"), ("", "1"), (" null ", "0")]
    task = load_task(folder(train__tsv=delimited(rows), dev__tsv="\ufeff" + delimited().replace("\n", "\r\n") + "\n\n"))
    assert task.train.texts == ('"a quote', "NA", "", " null ")
    assert task.dev.texts == tuple(text for text, _ in ROWS)


def test_csv_cells_may_hold_commas_and_lines(folder):
    task = load_task(
        folder(train__csv='text,label\n"a, b",x\n"c\nd",y\n', dev__csv='text,label\n"say ""hi""",x\ne,y\n')
    )
    assert task.train.texts == ("a, b", "c\nd")
    assert task.dev.texts == ('say "hi"', "e")


def test_headerless_columns_are_numbers(folder):
    rows = [(f"source{index}", label, "", text) for index, (text, label) in enumerate(ROWS)]
    where = folder(train__tsv=delimited(rows, header=None), dev__tsv=delimited(rows, header=None))
    task = load_task(where, text_column="3", label_column="1", header=False)
    assert len(task.train) == 4
    assert task.train.texts[0] == "good film"


def test_second_texts_and_ids_are_found(folder):
    header = ("idx", "sentence1", "sentence2", "label")
    rows = [("7", "a", "b", "no"), ("9", "c", "d", "yes")]
    where = folder(train__tsv=delimited(rows, header=header), validation__tsv=delimited(rows, header=header))
    task = load_task(where)
    assert (task.train.texts, task.train.pairs, task.train.ids) == (("a", "c"), ("b", "d"), ("7", "9"))
    assert load_task(where, text_column="sentence1").train.pairs is None
    assert load_task(where, text_column="idx", pair_column="sentence1").train.pairs == ("a", "c")


PAIRS = [
    ("question", "sentence"), ("question", "passage"), ("question1", "question2"), ("text", "text_pair"),
    ("premise", "hypothesis"), ("sentence1", "sentence2"),
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_the_usual_pairs_are_read_and_stand_in_the_note(folder, pair):
    rows = [("a b", "c d", "no"), ("e f", "g h", "yes")]
    content = delimited(rows, header=(*pair, "label"))
    task = load_task(folder(train__tsv=content, dev__tsv=content))
    assert (task.train.texts, task.train.pairs) == (("a b", "e f"), ("c d", "g h"))
    assert f"text from {pair[0]!r} and {pair[1]!r}, label from 'label'" in task.note


@pytest.mark.parametrize(
    ("header", "row", "other"),
    [
        (("premise", "choice1", "label"), ("It fell.", "wind", "{}"), "choice1"),
        (("word", "sentence1", "sentence2", "label"), ("bank", "a bank", "the bank", "{}"), "word"),
        (("sentence", "remark", "label"), ("a", "he said so {}", "{}"), "remark"),
        (("text", "title", "label"), ("a", "News", "{}"), "title"),
        (("sentence", "Title 2", "label"), ("a", "Who", "{}"), "Title 2"),
        (("Sentence", "ASPECT", "Label"), ("a", "food", "{}"), "ASPECT"),
        (("sentence", "reply", "label"), ("a", "very good", "{}"), "reply"),
        (("sentence", "second", "label"), ("a", "这是一个很长的中文句子{}没有空格", "{}"), "second"),
        (("sentence", "second", "label"), ("a", "यह एक लंबा वाक्य है {}", "{}"), "second"),
        (("sentence", "second", "label"), ("a", "Who {}", "{}"), "second"),
    ],
)
def test_a_text_that_would_not_be_read_is_named(folder, header, row, other):
    content = delimited([[cell.format(label) for cell in row] for label in "01"], header=header)
    where = folder(train__tsv=content, dev__tsv=content)
    with pytest.raises(TaskError, match=f"train.tsv: column {other!r} holds texts too.*--pair-column"):
        load_task(where)
    assert load_task(where, text_column=header[0]).train.pairs is None


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("choices", ["first answer", "second"]),
        ("Context", ["A long context", None]),
        ("translation", {"en": "long text"}),
        ("more", {"en": [{"spoken": "a long text {}"}]}),
        ("more", [["a long", None], ["text {}"]]),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_text_in_a_list_or_an_object_is_named(folder, tmp_path, column, cell, suffix):
    rows = [{"text": "a", column: json.loads(json.dumps(cell).replace("{}", str(n))), "label": n} for n in (0, 1)]
    where = folder(dev__jsonl=json_lines(rows), **({"train__jsonl": json_lines(rows)} if suffix == "jsonl" else {}))
    if suffix == "parquet":
        pd.DataFrame(rows).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(TaskError, match=rf"train\.{suffix}: column '{column}' holds texts too"):
        load_task(where)


def test_texts_that_repeat_are_texts_where_they_are_long(folder):
    def task(*cells):
        rows = [(f"t{index}", cells[index % 2], str(index % 2)) for index in range(20)]
        content = delimited(rows, header=("text", "more", "label"))
        return load_task(folder(train__tsv=content, dev__tsv=content))

    assert "label from 'label'; not read: 'more'" in task("web", "newspaper").note
    with pytest.raises(TaskError, match="column 'more' holds texts too"):
        task("Is this review friendly?", "Is this review long?")


def test_usual_columns_are_found_in_any_case(folder):
    content = delimited([("a", "b", "x"), ("c", "d", "y")], header=("Sentence1", "SENTENCE2", "Label"))
    task = load_task(folder(train__tsv=content, dev__tsv=content))
    assert (task.train.texts, task.train.pairs, task.label_names) == (("a", "c"), ("b", "d"), ("x", "y"))
    content = delimited([("A", "a", "2", "x"), ("B", "b", "1", "y")], header=("ID", "text", "Label", "label"))
    task = load_task(folder(train__tsv=content, dev__tsv=content))
    assert (task.train.texts, task.label_names) == (("a", "b"), ("x", "y"))
    assert "label from 'label'; not read: 'ID', 'Label'" in task.note


def test_other_columns_are_no_texts(folder):
    header = ("id", "source", "date", "url", "annotators", "answer", "note", "text", "label")
    rows = [("a1", "web", "2020-01-01 10:00 Z", "http://a b", "3", "1", "all the same note", f"t{n}", n) for n in "01"]
    content = delimited(rows, header=header)
    assert load_task(folder(train__tsv=content, dev__tsv=content)).train.texts == ("t0", "t1")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("1", "0", "1 ", "0"), ("0", "1")),
        (("pos", "neg", " pos", "neg"), ("neg", "pos")),
        (("pos", "neg", "pos\u00a0", "neg"), ("neg", "pos")),
        (("pos", "neg", "po\u200bs", "\ufeffneg"), ("neg", "pos")),
        (("cafe\u0301", "no", "caf\u00e9", "no"), ("caf\u00e9", "no")),
        (("not  it", "no", "not\u2003it", "no"), ("no", "not it")),
        (("1.0", "0", "1", "0.0"), ("0", "1")),
        (("01", "0", "+1", "-0"), ("0", "1")),
        (("pos", "neg", "pos\u200e", "\u202aneg\u061c"), ("neg", "pos")),
        (("fine", "bad", "\ufb01ne", "bad\ufe0f"), ("bad", "fine")),
        (("1", "0", "\uff11", "\uff10.\uff10"), ("0", "1")),
        (("pos", "neg", "p\u034fos\U000e0061", "\x01neg\u3164\x7f"), ("neg", "pos")),
        (("1.0e2", "7", 100.0, "7." + 50 * "0"), ("7", "100")),
        (
            ("9007199254740991", "9007199254740990.0", 9007199254740991, "9007199254740990"),
            ("9007199254740990", "9007199254740991"),
        ),
    ],
)
def test_labels_that_look_alike_are_one_class(folder, labels, names):
    content = json_lines({"text": f"t{index}", "label": label} for index, label in enumerate(labels))
    task = load_task(folder(train__jsonl=content, dev__jsonl=content))
    assert task.label_names == names
    assert task.train.labels[0] == task.train.labels[2] != task.train.labels[1] == task.train.labels[3]


def test_flags_are_told_apart():
    flags = [
        "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in f"{name}\x7f") for name in ("gbeng", "gbsct")
    ]
    table = pd.DataFrame({"label": flags})
    assert read_labels(table, "label", "here") == flags


@pytest.mark.parametrize("labels", [("Stra\u00dfe", "strasse"), ("\ufb01ne", "fine and dandy"), ("a", "b")])
def test_labels_that_differ_in_more_than_case_have_no_note(folder, labels):
    content = delimited([("a", labels[0]), ("b", labels[1])])
    assert "in case only" not in load_task(folder(train__tsv=content, dev__tsv=content)).note


@pytest.mark.parametrize("other", [1, "true", 0, "yes"])
def test_booleans_beside_other_labels_are_refused(folder, other):
    content = json_lines({"text": f"t{index}", "label": label} for index, label in enumerate((True, other, False)))
    with pytest.raises(TaskError, match=f"train.jsonl: column 'label' holds both booleans and {other!r}"):
        load_task(folder(train__jsonl=content, dev__jsonl=content))


def test_labels_that_differ_in_case_stay_apart_with_a_note(folder):
    content = delimited([("a", "Pos"), ("b", "pos")])
    task = load_task(folder(train__tsv=content, dev__tsv=content))
    assert task.label_names == ("Pos", "pos")
    assert "classes 'Pos' and 'pos' differ in case only" in task.note


def test_ids_that_repeat_are_not_used(folder):
    rows = [("7", *row) for row in ROWS]
    content = delimited(rows, header=("id", "sentence", "label"))
    assert load_task(folder(train__tsv=content, dev__tsv=content)).dev.ids[3] == "dev-3"


@pytest.mark.parametrize(
    ("ids", "names"),
    [(([1], [2]), ("[1]", "[2]")), (([1], [1]), ("train-0", "train-1")), ((1, "1"), ("train-0", "train-1"))],
)
def test_ids_are_told_apart_as_they_are_written(folder, ids, names):
    content = json_lines({"id": name, "text": f"t{index}", "label": index} for index, name in enumerate(ids))
    assert load_task(folder(train__jsonl=content, dev__jsonl=content)).train.ids == names


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ((10, 9, -1), ("-1", "9", "10")),
        ((1.0, 0.0, 2.0), ("0", "1", "2")),
        (("1.0", "0", "2"), ("0", "1", "2")),
        ((True, False), ("False", "True")),
        (("positive", "bad"), ("bad", "positive")),
        (("10", "9", "a"), ("10", "9", "a")),
    ],
)
def test_labels_are_ordered_as_numbers_or_as_words(folder, labels, names):
    content = json_lines({"text": f"t{index}", "label": label} for index, label in enumerate(labels))
    task = load_task(folder(train__jsonl=content, dev__jsonl=content))
    assert task.label_names == names
    assert task.label_names[task.train.labels[0]] == str(labels[0]).removesuffix(".0")


def test_a_single_file_is_split_by_its_texts(folder, tmp_path):
    folder(all__tsv=delimited(many()))
    task = load_task(str(tmp_path / "all.tsv"))
    assert Counter(task.train.texts + task.dev.texts) == Counter(text for text, _ in many())
    assert 5 <= len(task.dev) <= 40
    assert "a tenth of the file" in task.note
    folder(all__tsv=delimited(many()[::-1]))
    assert set(load_task(str(tmp_path / "all.tsv")).dev.texts) == set(task.dev.texts)


# What is refused

BAD_FILES = {
    "empty": ("tsv", b"", "empty"),
    "blank": ("jsonl", b"\n\n", "empty"),
    "header only": ("tsv", b"sentence\tlabel\n", "no rows"),
    "latin-1": ("tsv", b"sentence\tlabel\nfilm\t1\ncaf\xe9\t0\n", r"line 3 .*0xe9 at byte 25.*convert the file"),
    "short row": ("tsv", b"sentence\tlabel\na\t1\nb\nc\t0\n", "line 3 has 1 columns"),
    "long row": ("tsv", b"sentence\tlabel\na\t1\nb\t0\tx\n", "line 3 has 3 columns"),
    "all rows long": ("csv", b"sentence,label\na,1,x\nb,0,y\n", "line 2 has 3 columns"),
    "short row after a line in quotes": ("csv", b'sentence,label\n"a\nb",1\nc\n', "line 4 has 1 columns"),
    "open quote": ("csv", b'sentence,label\n"a,1\nb,0\n', "unexpected end"),
    "column twice": ("tsv", b"sentence\tlabel\tlabel\na\t1\t0\n", "two columns are called 'label'"),
    "empty first line": ("csv", b"\nsentence,label\na,1\nb,0\n", "line 1 is empty; remove it"),
    "blank first line": ("tsv", b" \nsentence\tlabel\na\t1\nb\t0\n", "line 1 is empty; remove it"),
    "empty line": ("tsv", b"sentence\tlabel\na\t1\n\nb\t0\n", "line 3 is empty; remove it"),
    "key twice": ("jsonl", b'{"text": "a", "label": 1, "label": 0}\n', "line 1: .*the key 'label' stands twice"),
    "key twice in a list": ("json", b'[{"text": "a", "label": 1, "text": "b"}]', "the key 'text' stands twice"),
    "no JSON": ("jsonl", b'{"text": "a", "label": 1}\n{"text":\n', "line 2: not valid JSON"),
    "no object": ("jsonl", b"[1]\n", "line 1 is not a JSON object"),
    "deep JSON": ("jsonl", b"[" * 10_000, "line 1: not valid JSON: it is nested too deep"),
    "deep list": ("json", b"[" * 10_000, "nested too deep"),
    "long number": ("jsonl", b'{"text": "a", "label": ' + b"9" * 5_000 + b"}", "line 1: not valid JSON"),
    "NUL": ("csv", b"text,label\na,1\nb\0,0\n", "line 3 holds a NUL"),
    "label NaN": ("jsonl", b'{"sentence": "a", "label": NaN}', "row 0 .*label is missing"),
    "no Parquet": ("parquet", b"nope", "cannot be read"),
    "missing label": ("tsv", b"sentence\tlabel\na\t1\nb\t\n", "row 1 .*label is missing"),
    "no label column": ("tsv", b"sentence\tgrade\na\t1\n", "which column holds the label.*sentence, grade"),
    "no text column": ("tsv", b"words\tlabel\na\t1\n", "which column holds the text.*words, label"),
    "one class": ("tsv", b"sentence\tlabel\na\t1\nb\t1\n", "all of train has one class, '1'"),
}


@pytest.mark.parametrize(("suffix", "content", "match"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_refused_with_their_place(folder, suffix, content, match):
    where = folder(**{f"train__{suffix}": content, "dev__tsv": delimited()})
    with pytest.raises(TaskError, match=match) as caught:
        load_task(where)
    assert "\n" not in str(caught.value)
    if match != BAD_FILES["one class"][2]:
        assert "train." in str(caught.value)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"text": None, "label": 1}, "row 2 .*'text' holds None"),
        ({"label": 1}, "row 2 .*'text' holds nan"),
        ({"text": 5, "label": 1}, "row 2 .*'text' holds 5"),
        ({"text": "\ud800", "label": 1}, "row 2 .*half a character"),
        ({"text": "a", "label": None}, "row 2 .*label is missing"),
        ({"text": "a"}, "row 2 .*label is missing"),
        ({"text": "a", "label": " "}, "row 2 .*label is missing"),
        ({"text": "a", "label": 0.5}, "row 2 .*0.5 is not a class"),
        ({"text": "a", "label": "3.8"}, "row 2 .*'3.8' is not a class"),
        ({"text": "a", "label": float("inf")}, "row 2 .*inf is not a class"),
        ({"text": "a", "label": [0, 1]}, "row 2 .*not a class"),
        ({"text": "a", "label": "0.99999999999999999999"}, "row 2 .*is not a class"),
        ({"text": "a", "label": "1.0e-999999999"}, "row 2 .*is not a class"),
        (
            {"text": "a", "label": "9007199254740992.0"},
            "row 2 .*'9007199254740992.0' is too large.*give the class a name",
        ),
        ({"text": "a", "label": "-9007199254740993"}, "row 2 .*'-9007199254740993' is too large"),
        ({"text": "a", "label": 9007199254740993.0}, "row 2 .*9007199254740992.0 is too large"),
        ({"text": "a", "label": 10**400}, "row 2 .*1000.* is too large"),
        ({"text": "a", "label": "1.0e300"}, "row 2 .*'1.0e300' is too large"),
        ({"text": "a", "label": "1.0e999999999"}, "row 2 .*is too large"),
        ({"text": "a", "label": "1.0e" + 30 * "9"}, "row 2 .*is not a class"),
    ],
)
def test_cells_that_are_no_text_or_no_label_are_refused(folder, row, match):
    good = [{"text": text, "label": int(label)} for text, label in ROWS]
    where = folder(train__jsonl=json_lines(good), dev__jsonl=json_lines([*good[:2], row]))
    with pytest.raises(TaskError, match=rf"dev\.jsonl: {match}"):
        load_task(where)


def test_a_single_file_names_the_row_of_the_file(folder, tmp_path):
    rows = [{"text": text, "label": label} for text, label in many()]
    rows[150]["label"] = None
    folder(all__jsonl=json_lines(rows))
    with pytest.raises(TaskError, match="row 150 "):
        load_task(str(tmp_path / "all.jsonl"))


def test_parquet_of_other_types_and_folders_with_an_ending_are_refused(folder, tmp_path):
    where = folder(dev__tsv=delimited())
    pd.DataFrame({"sentence": [["a"], ["b"]], "label": [0, 1]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(TaskError, match="train.parquet: row 0 .*which is not a text"):
        load_task(where)
    pd.DataFrame({"sentence": ["a", "b"], "label": [[0], [1]]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(TaskError, match="train.parquet: row 0 .*is not a class"):
        load_task(where)
    whole = (tmp_path / "train.parquet").read_bytes()
    (tmp_path / "train.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TaskError, match="train.parquet: cannot be read"):
        load_task(where)
    (tmp_path / "train.parquet").unlink()
    (tmp_path / "train.csv").mkdir()
    with pytest.raises(TaskError, match="train.csv cannot be read: Is a directory"):
        load_task(where)


def test_an_index_of_parquet_is_a_column(folder, tmp_path):
    where = folder()
    table = pd.DataFrame({"sentence": [text for text, _ in ROWS], "label": [1, 0, 1, 0]}).set_index("sentence")
    for split in ("train", "dev"):
        table.to_parquet(tmp_path / f"{split}.parquet")
    assert load_task(where).train.texts == ("good film", "bad film", "fine", "dull")


def test_parquet_of_too_many_rows_is_refused_before_it_is_read(folder, tmp_path):
    where = folder(dev__tsv=delimited())
    rows = 10_000_001
    table = pa.table({"sentence": pa.nulls(rows, pa.string()), "label": pa.nulls(rows, pa.int8())})
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(TaskError, match=r"train\.parquet: holds 10,000,001 rows, more than 10,000,000"):
        load_task(where)


def test_parquet_with_one_name_twice_is_refused(folder, tmp_path):
    where = folder(dev__tsv=delimited())
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"]), pa.array([1])], ["text", "text", "label"])
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(TaskError, match="two columns are called 'text'"):
        load_task(where)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "parquet"])
def test_a_pipe_in_a_folder_is_refused(folder, tmp_path, suffix):
    os.mkfifo(tmp_path / f"train.{suffix}")
    with pytest.raises(TaskError, match=rf"train\.{suffix} cannot be read: it is a pipe"):
        load_task(folder(dev__tsv=delimited()))


def test_nulls_of_parquet_are_refused(folder, tmp_path):
    where = folder(dev__tsv=delimited())
    pd.DataFrame({"sentence": ["a", None], "label": [0, 1]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(TaskError, match=r"train\.parquet: row 1"):
        load_task(where)


@pytest.mark.parametrize(
    ("contents", "match"),
    [
        ({}, "no train file.*holds nothing"),
        ({"train__tsv": delimited()}, "no dev file.*train.tsv"),
        ({"train__tsv": delimited(), "test__tsv": delimited()}, "a test file is not used as dev"),
        ({"train__tsv": "", "train__csv": ""}, "several train files: train.csv, train.tsv"),
        ({"train__tsv": "", "dev__tsv": "", "validation__tsv": ""}, "several dev files: dev.tsv, validation.tsv"),
        ({"train__txt": ""}, "no train file"),
    ],
)
def test_folders_without_one_train_and_one_dev_file_are_refused(folder, contents, match):
    with pytest.raises(TaskError, match=match):
        load_task(folder(**contents))


@pytest.mark.parametrize(
    ("dev", "match"),
    [
        (delimited(header=("sentence", "grade")), "dev.tsv has no column 'label'.*sentence, grade"),
        (delimited([*ROWS, ("so-so", "2")]), "labels that train doesn't have: '2'"),
        (delimited(ROWS[:1]), "all of dev has one class, '1'"),
    ],
)
def test_dev_must_fit_train(folder, dev, match):
    with pytest.raises(TaskError, match=match):
        load_task(folder(train__tsv=delimited(), dev__tsv=dev))


def test_second_texts_must_be_in_both_splits(folder):
    train = delimited([("a", "b", "0"), ("c", "d", "1")], header=("sentence1", "sentence2", "label"))
    dev = delimited([("a", "0"), ("c", "1")], header=("sentence1", "label"))
    with pytest.raises(TaskError, match="dev.tsv has no column 'sentence2'"):
        load_task(folder(train__tsv=train, dev__tsv=dev))


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"text_column": "words"}, "no column 'words'; its columns are: sentence, label"),
        ({"pair_column": "other"}, "no column 'other'"),
        ({"label_column": "grade"}, "no column 'grade'"),
        ({"text_column": "label"}, "used twice"),
        ({"pair_column": "sentence"}, "used twice"),
    ],
)
def test_columns_that_are_asked_for_must_be_there_and_differ(folder, columns, match):
    with pytest.raises(TaskError, match=match):
        load_task(folder(train__tsv=delimited(), dev__tsv=delimited()), **columns)


def test_other_endings_are_refused(tmp_path):
    (tmp_path / "data.xlsx").write_bytes(b"PK")
    with pytest.raises(TaskError, match=r"not in '\.xlsx'"):
        load_task(str(tmp_path / "data.xlsx"))


# The Hub, without a network


@pytest.fixture
def hub(monkeypatch):
    """Return a function that makes the Hub answer with these splits, or raise this error; records what is asked."""
    asked = []

    def answer(result):
        def load(name, *args, **kwargs):
            asked.append(name)
            if isinstance(result, Exception):
                raise result
            return datasets.DatasetDict(result)

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(HfApi, "dataset_info", lambda self, name, **kwargs: None)
        monkeypatch.setattr(datasets, "load_dataset", load)
        return asked

    return answer


def hub_split(labels=(0, 1, 1), names=("neg", "pos")):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(names))})
    rows = {"text": [f"text {index}" for index in range(len(labels))], "label": list(labels)}
    return datasets.Dataset.from_dict(rows, features=features)


def test_a_hub_task_has_the_class_names_of_the_hub(hub):
    asked = hub({"train": hub_split(), "validation": hub_split((1, 0)), "test": hub_split((-1, -1))})
    task = load_task("owner/reviews")
    assert asked == ["owner/reviews"]
    assert task.label_names == ("neg", "pos")
    assert task.dev.labels == (1, 0)
    assert "test split" not in task.note


def test_a_labelled_test_split_serves_as_dev_and_an_unlabelled_one_does_not(hub):
    hub({"train": hub_split(), "test": hub_split((1, 0))})
    assert "test split serves as dev" in load_task("reviews").note
    hub({"train": hub_split(), "test": hub_split((-1, -1))})
    with pytest.raises(TaskError, match="label -1 is none of its 2 classes"):
        load_task("reviews")


def test_hub_splits_that_are_missing_are_named(hub):
    hub({"train": hub_split(), "extra": hub_split()})
    with pytest.raises(TaskError, match="has the splits train, extra"):
        load_task("reviews")


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        (
            "owner/reviews",
            ConnectionError("no route\nto host"),
            "could not be reached .no route to host.; give a local folder",
        ),
        ("owner/reviews", ValueError("Config name is missing."), "did not give it .Config name is missing"),
        ("film-review", ConnectionError(), "did you mean 'film-reviews'"),
    ],
)
def test_what_the_hub_does_not_give_is_one_line_and_never_another_task(hub, name, error, match):
    hub(error)
    with pytest.raises(TaskError, match=match) as caught:
        load_task(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["./elsewhere", "/no/such/folder", "~nobody-here/data", "train.tsv", "a b", "a/b/c"])
def test_paths_that_do_not_exist_are_not_asked_of_the_hub(hub, name):
    asked = hub(AssertionError("asked the Hub"))
    with pytest.raises(TaskError, match=f"no task {re.escape(repr(name))}: there is no such file or folder"):
        load_task(name)
    assert asked == []


def test_a_local_folder_comes_before_the_hub(hub, folder, tmp_path, monkeypatch):
    asked = hub(AssertionError("asked the Hub"))
    folder(train__tsv=delimited(), dev__tsv=delimited())
    monkeypatch.chdir(Path(tmp_path).parent)
    assert len(load_task(tmp_path.name).train) == 4
    assert asked == []
