"""Loading a task by name: built-in, a local file or folder, or a dataset of the Hub. Never another than asked for."""

import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import pandas as pd

from ..errors import TaskError
from .files import read_table, split_files
from .films import film_reviews
from .splits import Split, Task, by_hash

BUILT_IN_TASKS: Final[tuple[str, ...]] = ("film-reviews",)
_TEXT: Final[tuple[str, ...]] = ("sentence", "text", "sentence1", "premise", "question", "review", "content")
_PAIR: Final[dict[str, str]] = {"sentence1": "sentence2", "premise": "hypothesis"}
_LABEL: Final[tuple[str, ...]] = ("label", "labels", "target", "class")
_DEV_SHARE = 0.1


def load_task(
    name: str,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
    header: bool = True,
) -> Task:
    """Load a built-in task, a file, a folder with train and dev, or a dataset of the Hub.

    Columns are found by their usual names where none is given; the columns of a file without header are called 0, 1,
    and so on. A single file is split by the hash of its texts. Raises `TaskError`.
    """
    columns = (text_column, pair_column, label_column)
    if name in BUILT_IN_TASKS:
        if any(column is not None for column in columns):
            raise TaskError(f"task {name!r} is built in and has no columns to choose")
        return film_reviews()
    path = Path(name).expanduser()
    if path.is_dir():
        train_file, dev_file = split_files(path)
        tables = (read_table(train_file, header=header), read_table(dev_file, header=header))
        return _task(name, str(path), tables, (train_file.name, dev_file.name), columns)
    if path.is_file():
        return _single_file(path, read_table(path, header=header), columns)
    if path.suffix or name.startswith((".", "/", "~")) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise TaskError(f"no task {name!r}: there is no such file or folder")
    return _from_hub(name, columns)


def _single_file(path: Path, table: pd.DataFrame, columns: Sequence[str | None]) -> Task:
    text, _, _ = _columns(table, path.name, columns)
    in_dev = pd.Series(by_hash([str(cell) for cell in table[text]], share=_DEV_SHARE), index=table.index)
    tables = (table[~in_dev], table[in_dev])
    return _task(str(path), f"{path}, a tenth of it as dev by hash of the text", tables, (path.name,) * 2, columns)


def _from_hub(name: str, columns: Sequence[str | None]) -> Task:
    from datasets import load_dataset  # takes seconds to import: only where it is used
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(name, timeout=20)  # answers at once where load_dataset would retry for half a minute
        splits = load_dataset(name)
    except Exception as error:  # the Hub's client raises many kinds; each means that there is no such data here
        near = get_close_matches(name, BUILT_IN_TASKS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise TaskError(
            f"no task {name!r}{hint}: not built in ({', '.join(BUILT_IN_TASKS)}), no file or folder, and the Hub did not give "
            f"it ({_first_line(error)}); without a network, give a local folder with train and dev"
        ) from error
    dev_name = next((split for split in ("validation", "dev", "valid") if split in splits), None)
    if "train" not in splits or dev_name is None:
        raise TaskError(f"task {name!r} has the splits {', '.join(splits)}, but train and validation are needed")
    tables = (splits["train"].to_pandas(), splits[dev_name].to_pandas())
    _, _, label = _columns(tables[0], "train", columns)
    names = getattr(splits["train"].features[label], "names", None)
    return _task(name, f"Hub dataset {name}", tables, ("train", dev_name), columns, names)


def _task(
    name: str,
    source: str,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    origins: tuple[str, str],
    columns: Sequence[str | None],
    label_names: Sequence[str] | None = None,
) -> Task:
    read = [
        _read_split(table, origin, split, columns)
        for table, origin, split in zip(tables, origins, ("train", "dev"), strict=True)
    ]
    values = sorted({value for _, labels in read for value in labels}, key=lambda value: (len(value), value))
    if label_names is not None:
        values = [str(index) for index in range(len(label_names))]
    index_of = {value: index for index, value in enumerate(values)}
    train, dev = (
        Split(split.ids, split.texts, split.pairs, tuple(index_of[value] for value in labels)) for split, labels in read
    )
    shared = len(_rows(dev) & _rows(train))
    note = f"{len(values)} classes" + (f"; {shared} texts of dev are also in train" if shared else "")
    return Task(name, source, tuple(label_names or values), train, dev, note)


def _rows(split: Split) -> set[tuple[str, str]]:
    return set(zip(split.texts, split.pairs or split.texts, strict=True))


def _read_split(table: pd.DataFrame, origin: str, split: str, columns: Sequence[str | None]) -> tuple[Split, list[str]]:
    text, pair, label = _columns(table, origin, columns)
    ids = tuple(f"{split}-{row}" for row in range(len(table)))
    if "id" in table and table["id"].is_unique and table["id"].notna().all():
        ids = tuple(map(str, table["id"]))
    texts = _texts(table, text, origin)
    pairs = None if pair is None else _texts(table, pair, origin)
    labels = [_label(value, f"{origin}: row {row}") for row, value in enumerate(table[label])]
    return Split(ids, texts, pairs, (0,) * len(texts)), labels


def _columns(table: pd.DataFrame, origin: str, asked: Sequence[str | None]) -> tuple[str, str | None, str]:
    there = ", ".join(table.columns)
    for column in asked:
        if column is not None and column not in table:
            raise TaskError(f"{origin} has no column {column!r}; its columns are: {there}")
    text, pair, label = asked
    text = text or next((column for column in _TEXT if column in table), None)
    label = label or next((column for column in _LABEL if column in table), None)
    if text is None:
        raise TaskError(f"{origin}: which column holds the text? Name it with --text-column; columns are: {there}")
    if label is None:
        raise TaskError(f"{origin}: which column holds the label? Name it with --label-column; columns are: {there}")
    if pair is None and asked[0] is None and _PAIR.get(text) in table:
        pair = _PAIR[text]
    used = [column for column in (text, pair, label) if column is not None]
    if len(set(used)) < len(used):
        raise TaskError(f"{origin}: one column is used twice: {', '.join(used)}")
    return text, pair, label


def _texts(table: pd.DataFrame, column: str, origin: str) -> tuple[str, ...]:
    for row, value in enumerate(table[column]):
        if not isinstance(value, str):
            raise TaskError(f"{origin}: row {row} of column {column!r} holds {value!r}, which is no text")
    return tuple(table[column])


def _label(value: Any, where: str) -> str:
    """Return a label as text: whole numbers without a fraction, other text as it is."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        raise TaskError(f"{where}: the label is missing")
    if isinstance(value, float):
        if not value.is_integer():
            raise TaskError(f"{where}: label {value!r} is no class; only classification is supported")
        value = int(value)
    return str(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
