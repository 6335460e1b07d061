"""Tagging and tokenizing a task once, for all runs."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from datasets import Dataset

from ..data.task import Split, Task
from ..tagging.annotate import Annotator
from ..tagging.tag_cache import CachedTagger
from ..tagging.tagger import TaggedText
from ..tagging.texts import check_texts

# Wraps an iterable in a progress bar: (iterable, description, length).
Progress = Callable[[Iterable[TaggedText], str, int], Iterable[TaggedText]]
_CHUNK = 1000


@dataclass(frozen=True)
class Splits:
    """Annotated texts, ready for the collator: those that are learned from, and those that measure it."""

    train: Dataset
    dev: Dataset


@dataclass(frozen=True)
class Prepared(Splits):
    """The splits of a task, how long tagging took, and where the tags are from."""

    tagging_seconds: float
    texts_tagged: int
    texts_from_cache: int


def prepare(task: Task, annotator: Annotator, *, max_length: int, progress: Progress) -> Prepared:
    """Annotate both splits; raises `InputError`, `TaggingError` and `AlignmentError`."""
    start = time.perf_counter()
    tagged = {
        name: _tag(split, annotator, name, progress) for name, split in (("train", task.train), ("dev", task.dev))
    }
    seconds = time.perf_counter() - start
    train = _annotate(task.train, annotator, tagged["train"], max_length)
    dev = _annotate(task.dev, annotator, tagged["dev"], max_length)
    tagger = annotator.tagger
    assert isinstance(tagger, CachedTagger)  # noqa: S101 - experiments always cache
    return Prepared(train, dev, seconds, tagger.texts_tagged, tagger.texts_from_cache)


def _tag(split: Split, annotator: Annotator, name: str, progress: Progress) -> list[TaggedText]:
    texts = check_texts([*split.texts, *(split.pairs or ())])
    return list(progress(annotator.tagger.tag(texts), f"tagging {name}", len(texts)))


def _annotate(split: Split, annotator: Annotator, tagged: Sequence[TaggedText], max_length: int) -> Dataset:
    columns: dict[str, list[object]] = {"labels": list(split.labels)}
    size = len(split)
    for start in range(0, size, _CHUNK):
        part = slice(start, start + _CHUNK)
        features = annotator.join(
            split.texts[part],
            None if split.pairs is None else split.pairs[part],
            tagged[:size][part],
            None if split.pairs is None else tagged[size:][part],
            max_length=max_length,
        )
        for name, values in features.items():
            columns.setdefault(name, []).extend(values)
    return Dataset.from_dict(columns)
