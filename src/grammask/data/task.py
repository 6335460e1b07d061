"""A classification task: texts with labels, split into train and dev."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import TaskError


@dataclass(frozen=True)
class Split:
    """The texts of one split, in order. `labels` are indices of the task's `label_names`; `pairs` are second texts."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, size: int | None, *, seed: int) -> "Split":
        """Return `size` texts drawn by `seed`, in their original order; all of them for None or a larger size."""
        if size is None or size >= len(self):
            return self
        return self.select(np.sort(np.random.default_rng(seed).permutation(len(self))[:size]).tolist())

    def select(self, indices: Sequence[int]) -> "Split":
        """Return the texts at these indices."""
        return Split(
            tuple(self.ids[index] for index in indices),
            tuple(self.texts[index] for index in indices),
            None if self.pairs is None else tuple(self.pairs[index] for index in indices),
            tuple(self.labels[index] for index in indices),
        )


@dataclass(frozen=True)
class Task:
    """A task to learn: its source, its labels, its data, and a sentence about it for the reader."""

    name: str
    source: str
    label_names: tuple[str, ...]
    train: Split
    dev: Split
    note: str

    def __post_init__(self) -> None:
        for name, split in (("train", self.train), ("dev", self.dev)):
            if not len(split):
                raise TaskError(f"task {self.name!r}: {name} is empty")
            present = set(split.labels)
            if len(present) == 1:
                only = self.label_names[present.pop()]
                raise TaskError(f"task {self.name!r}: all of {name} has one class, {only!r}; there is nothing to learn")
        if unseen := set(self.dev.labels) - set(self.train.labels):
            names = ", ".join(repr(self.label_names[label]) for label in sorted(unseen))
            raise TaskError(f"task {self.name!r}: dev has labels that train doesn't have: {names}")

    @property
    def sha256(self) -> str:
        """The hash of the labels' names and of all ids, texts and labels of both splits."""
        digest = hashlib.sha256(json.dumps(self.label_names).encode())
        for split in (self.train, self.dev):
            digest.update(json.dumps([split.ids, split.texts, split.pairs, split.labels]).encode())
        return digest.hexdigest()


def is_in_dev(texts: Sequence[str], *, share: float) -> list[bool]:
    """Tell for each text whether it goes into dev: by the text's hash, so that the order of texts doesn't matter."""
    limit = int(share * 2**32)
    return [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) < limit for text in texts]
