"""Loading a task by name: built in, a local file or folder, or a dataset of the Hub; never another task instead."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ..errors import TaskError
from ..files.read import expand_home
from .columns import Columns, FoundColumns, describe_columns, find_columns, read_texts
from .film_reviews import film_reviews
from .hub import load_hub_tables
from .labels import differ_in_case, read_labels, sort_labels
from .local_files import find_split_files, read_table
from .task import Split, Task, is_in_dev

BUILT_IN_TASKS: Final[tuple[str, ...]] = ("film-reviews",)
_DEV_SHARE = 0.1
_ADDRESS: Final[str] = r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?"  # of a dataset of the Hub, and its revision


def load_task(
    name: str,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
    header: bool = True,
) -> Task:
    """Load a built-in task, a file, a folder with train and dev, or a dataset of the Hub, as NAME or NAME@REVISION.

    Columns are found by their usual names where none is given; the columns of a file without header are called 0, 1,
    and so on. A single file is split by the hash of its texts. Raises `TaskError`.
    """
    columns = (text_column, pair_column, label_column)
    if name in BUILT_IN_TASKS:
        if any(column is not None for column in columns):
            raise TaskError(f"task {name!r} is built in and has no columns to choose")
        return film_reviews()
    if name.startswith("~"):
        name = str(expand_home(name))
    path = Path(name)
    if path.is_dir():
        files = find_split_files(path)
        tables = (read_table(files[0], header=header), read_table(files[1], header=header))
        return _make_task(name, str(path), tables, (files[0].name, files[1].name), columns)
    if path.is_file():
        return _single_file(path, read_table(path, header=header), columns)
    near = get_close_matches(name, BUILT_IN_TASKS, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    address, _, revision = name.partition("@")
    if Path(address).suffix or name.startswith((".", "/", "~")) or not re.fullmatch(_ADDRESS, name):
        raise TaskError(f"no task {name!r}{hint}: there is no such file or folder")
    elsewhere = f"it is neither built in ({', '.join(BUILT_IN_TASKS)}) nor a file or folder"
    tables, origins, class_names = load_hub_tables(
        address, revision=revision or None, otherwise=f"{name!r}{hint}: {elsewhere}"
    )
    how = "; its test split serves as dev" if origins[1] == "test" else ""
    return _make_task(name, f"Hub dataset {name}", tables, origins, columns, class_names=class_names, how=how)


def _single_file(path: Path, table: pd.DataFrame, asked: Columns) -> Task:
    columns = find_columns(table, path.name, asked)
    in_dev = np.array(is_in_dev(read_texts(table, columns[0], path.name), share=_DEV_SHARE))
    how = "; a tenth of the file is dev, chosen by hash of the text"
    return _make_task(str(path), str(path), (table[~in_dev], table[in_dev]), (path.name, path.name), columns, how=how)


def _make_task(
    name: str,
    source: str,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    origins: tuple[str, str],
    asked: Columns,
    *,
    class_names: Mapping[str, Sequence[str]] | None = None,
    how: str = "",
) -> Task:
    columns = find_columns(tables[0], origins[0], asked)
    find_columns(tables[1], origins[1], columns)  # dev is read by the columns that train has
    labels = [read_labels(table, columns[2], origin) for table, origin in zip(tables, origins, strict=True)]
    values = sort_labels({*labels[0], *labels[1]})
    names: Sequence[str] = (class_names or {}).get(columns[2], ())
    if names:  # the labels are indices of the names
        for value in values:
            if value not in map(str, range(len(names))):
                raise TaskError(
                    f"task {name!r}: label {value} is none of its {len(names)} classes; is a split unlabelled?"
                )
        values = [str(index) for index in range(len(names))]
    index_of = {value: index for index, value in enumerate(values)}
    train, dev = (
        _make_split(table, origin, split, columns, tuple(index_of[value] for value in of_split))
        for table, origin, split, of_split in zip(tables, origins, ("train", "dev"), labels, strict=True)
    )
    shared = len(_text_pairs(dev) & _text_pairs(train))
    note = f"{len(values)} classes{how}; {describe_columns(columns, tables[0])}"
    note += f"; {shared} texts of dev are also in train" if shared else ""
    if cased := differ_in_case(names or values):
        note += f"; classes {cased[0]!r} and {cased[1]!r} differ in case only"
    return Task(name, source, tuple(names or values), train, dev, note)


def _text_pairs(split: Split) -> set[tuple[str, str]]:
    return set(zip(split.texts, split.pairs or split.texts, strict=True))


def _make_split(table: pd.DataFrame, origin: str, split: str, columns: FoundColumns, labels: tuple[int, ...]) -> Split:
    text, pair, _ = columns
    ids = tuple(f"{split}-{row}" for row in table.index)
    for column in ("id", "idx"):
        if column in table and table[column].notna().all() and table[column].map(str).is_unique:
            ids = tuple(map(str, table[column]))
            break
    pairs = None if pair is None else read_texts(table, pair, origin)
    return Split(ids, read_texts(table, text, origin), pairs, labels)
