"""What the measurements of long documents share: documents, their folds, and figures of all and of the longer ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from grammask.attention.density import count_layers
from grammask.attention.inputs import Annotation
from grammask.errors import InputError
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import PairCounts
from grammask.grammar.tables import compile_layers
from grammask.model.named_models import find_model, load_tokenizer
from grammask.printing import quoted
from grammask.resampling import Floats, estimate

CUT: Final[int] = 512  # tokens: the positions that MiniLM learned
CHOSEN_BY: Final[int] = 5  # every so-manieth training document chooses the learning rate


@dataclass(frozen=True)
class Documents:
    """Labels, texts and how many tokens they have."""

    labels: list[int]
    texts: list[str]
    tokens: list[int]
    sha256: str

    def folds(self, count: int, seed: int = 0) -> list[tuple[list[int], list[int]]]:
        """Return the numbers of the documents to train on, and to test: each fold has its share of each label.

        Those to test are sorted by their length, so that batches are padded little.
        """
        drawn = np.random.default_rng(seed).permutation(len(self.labels)).tolist()
        dealt = sorted(drawn, key=lambda number: self.labels[number])
        tests = [sorted(dealt[fold::count], key=lambda number: self.tokens[number]) for fold in range(count)]
        return [([number for number in drawn if number not in set(tested)], tested) for tested in tests]

    def choosing(self, trained: list[int]) -> tuple[list[int], list[int]]:
        """Return the numbers of training documents to train on, and those to choose a learning rate by."""
        of_labels = ([number for number in trained if self.labels[number] == label] for label in (0, 1))
        chosen = [number for some in of_labels for number in some[::CHOSEN_BY]]
        rest = [number for number in trained if number not in set(chosen)]
        return rest, sorted(chosen, key=lambda number: self.tokens[number])


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - a script's own report


def read_documents(path: Path, model: str, *, folds: int) -> Documents:
    """Read lines of a label, 0 or 1, and a document; raises `InputError` for others, and for too few of a label."""
    content = path.read_bytes()
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}") from error
    rows = [_read_line(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line]
    labels, texts = [label for label, _ in rows], [text for _, text in rows]
    fewest = min(labels.count(0), labels.count(1))
    if not 2 <= folds <= fewest:
        raise InputError(f"--folds is {folds}, but must be from 2 to {fewest}, the documents of the rarer label")
    encoded = load_tokenizer(find_model(model))(texts, verbose=False)["input_ids"]
    return Documents(labels, texts, [len(row) for row in encoded], sha256(content).hexdigest())


def _read_line(line: str, place: str) -> tuple[int, str]:
    label, _, text = line.partition("\t")
    if label not in ("0", "1") or "\t" in text or not text.strip():
        raise InputError(f"{place} must be 0 or 1, a tab and a document without tabs, but is {quoted(line)}")
    return int(label), text


def split_estimate(values: Floats, documents: Documents) -> dict[str, Any]:
    """Return the mean of values of all tested documents, and of those of more than 512 tokens, with 95 % intervals."""
    tested, longer = ~np.isnan(values), np.array(documents.tokens) > CUT
    return {"all": mean_of(values[tested]), "longer": mean_of(values[tested & longer])}


def mean_of(values: Floats) -> dict[str, Any]:
    """Return a mean over documents with its bootstrap interval, and their number."""
    if not len(values):
        return {"value": None, "interval": None, "documents": 0}
    return {**estimate(lambda times: times @ values / len(values), len(values)), "documents": len(values)}


def facts_of(documents: Documents, whole: int) -> dict[str, Any]:
    """Return numbers of the documents, without any text."""
    tokens = np.array(documents.tokens)
    return {
        "count": len(tokens), "with_label_1": sum(documents.labels), "sha256": documents.sha256,
        "median_tokens": float(np.median(tokens)), "longest_tokens": int(tokens.max()),
        **{f"longer_than_{length}": int((tokens > length).sum()) for length in (CUT, whole)},
    }  # fmt: skip


def density(grammar: Grammar | None, texts: Iterable[Mapping[str, Sequence[int]]], *, layers: int, heads: int) -> float:
    """Return the share of pairs that are read in annotated texts, by a model of so many layers and heads."""
    if grammar is None:
        return 1.0
    tables, counts = compile_layers(grammar, layers=layers, heads=heads), PairCounts()
    for text in texts:
        counts += count_layers(tables, Annotation(*(
            torch.tensor([text[name]]) for name in ("tag_ids", "word_ids", "sentence_ids")
        )))  # fmt: skip
    return counts.density
