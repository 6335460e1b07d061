"""The texts of a pretraining: lines of files and the training texts of a task, each once, a part of them held out."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from ...data.load_task import load_task
from ...data.read_documents import read_documents
from ...data.task import is_in_dev
from ...errors import InputError
from .config import PretrainConfig

_HELD_OUT = 0.05


@dataclass(frozen=True)
class RawTexts:
    """The texts to learn from, and those that only measure it. `found` counts them before any was left out."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    found: int

    @property
    def sha256(self) -> str:
        """The hash of all texts, in their order."""
        return sha256("\n".join((*self.train, "", *self.held_out)).encode("utf-8", "surrogatepass")).hexdigest()


def read_raw_texts(config: PretrainConfig) -> RawTexts:
    """Read the texts that the settings name; which are held out is told by a text's hash.

    Raises `InputError` and `TaskError`, also for too few texts.
    """
    found = [*_lines(config), *_of_task(config)]
    once = np.array(list(dict.fromkeys(found)), dtype=object)
    if config.limit is not None and config.limit < len(once):
        once = once[np.sort(np.random.default_rng(config.seed).permutation(len(once))[: config.limit])]
    held = is_in_dev(once.tolist(), share=_HELD_OUT)
    train, held_out = (tuple(once[np.array(held) == which].tolist()) for which in (False, True))
    if not train or not held_out:
        raise InputError(
            f"{len(once)} different texts are too few: a twentieth is held out, chosen by its hash, and none is left "
            "for one of the two sides; give more"
        )
    return RawTexts(train, held_out, len(found))


def _lines(config: PretrainConfig) -> list[str]:
    """Return the lines of a file, or of each file of a folder, but for empty ones."""
    if config.text is None:
        return []
    documents = read_documents(config.text, None)
    return [line.strip() for document in documents for line in document.text.splitlines() if line.strip()]


def _of_task(config: PretrainConfig) -> list[str]:
    if config.task is None:
        return []
    train = load_task(config.task, text_column=config.text_column).train
    return [text.strip() for text in (*train.texts, *(train.pairs or ())) if text.strip()]
