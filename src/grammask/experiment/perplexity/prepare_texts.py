"""Documents as a model reads them: cut to a length, annotated once, and each predicted token in its stratum."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...attention.causal_pairs import CausalText, Counts
from ...data.read_documents import Document
from ...errors import InputError
from ...grammar.tags import TAG_IDS
from ...interpret.word_positions import spell_words
from ...printing import quoted
from ...tagging.annotate import Annotator
from ...tagging.encode import encode
from .config import PerplexityConfig
from .strata import find_distances

# Wraps an iterable in a progress bar: (iterable, description, length).
Bar = Callable[[Iterable[Any], str, int], Iterable[Any]]
_STRUCTURAL = [TAG_IDS[tag] for tag in ("[CLS]", "[SEP]", "[PAD]")]


@dataclass(frozen=True, eq=False)
class PreparedText:
    """One document: model inputs (1, length), and for each token its distance and whether its loss counts (length,).

    `is_whole` tells that nothing was cut off.
    """

    document: Document
    inputs: dict[str, Tensor]
    text: CausalText
    distances: Counts
    counted: NDArray[np.bool_]
    skipped: int
    is_whole: bool

    @property
    def tokens(self) -> Counts:
        """The ids of the tokens (length,)."""
        ids: Counts = self.inputs["input_ids"][0].numpy()
        return ids

    def facts(self) -> dict[str, Any]:
        """Return what results tell of it: nothing of what it says."""
        return {
            "name": self.document.name,
            "tokens": len(self.text),
            "skipped": self.skipped,
            "counted": int(self.counted.sum()),
            "whole": self.is_whole,
            "sha256": self.document.sha256,
        }


def prepare_texts(
    documents: Sequence[Document], annotate: Annotator, config: PerplexityConfig, bar: Bar
) -> list[PreparedText]:
    """Annotate documents; raises `InputError` for one that has nothing to predict, and what annotating raises."""
    return [_prepare(document, annotate, config) for document in bar(documents, "tagging", len(documents))]


def _prepare(document: Document, annotate: Annotator, config: PerplexityConfig) -> PreparedText:
    beginning, is_whole = _cut(document, annotate, config.length)
    read = annotate.read(beginning, max_length=config.length)
    text = CausalText(read.aligned.tag_ids, read.aligned.word_ids, read.aligned.sentence_ids)
    skipped = max(1, min(config.skip, len(text) // 2))
    counted = (np.arange(len(text)) >= skipped) & ~np.isin(text.tags, _STRUCTURAL)
    if not counted.any():
        name = quoted(document.name)
        if is_whole:
            raise InputError(f"text {name} has {len(text)} tokens, too few to predict one; take it out")
        raise InputError(f"--length {config.length} leaves too few tokens of text {name} to predict one; give more")
    distances = find_distances(text, spell_words(read), near=config.near)
    return PreparedText(document, read.inputs, text, distances, counted, skipped, is_whole)


def _cut(document: Document, annotate: Annotator, length: int) -> tuple[str, bool]:
    """Return what of a document is read, up to the end of its last word, so that the tagger sees no more than that."""
    encoded = encode(annotate.tokenizer, [document.text], None, max_length=length, return_tensors=None)
    encoding = (encoded.encodings or [])[0]
    if not encoding.overflowing:
        return document.text, True
    end = max(stop for _, stop in encoding.offsets)
    while end < len(document.text) and not document.text[end].isspace():
        end += 1
    return document.text[:end], False
