"""From one batch and one layer's tables to the blocks that the sparse kernels work through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InputError
from ...grammar.caching import cache_outside_modes
from ...grammar.rules import Strategy
from ...grammar.tables import ReachTables
from ...grammar.tags import CLS, PAD, SEP, UNK
from ..backends import Reaches
from ..inputs import Annotation
from .banded import bounded_blocks, in_reading_order
from .biased import explicit_bias_blocks, tag_bias_blocks
from .block import BlockGroup, as_slice
from .lookup import PairLookup, Tokens, compile_lookup, occurring_tags, tag_mask
from .sorted import document_blocks

_STRUCTURAL: Final[tuple[int, ...]] = (CLS, SEP, UNK)


class UnsortedError(InputError):
    """Word or sentence numbers that decrease within a text, where bounded rules need reading order."""


@dataclass(frozen=True, eq=False)
class _Text:
    """One text of the batch without its padding: where it is, its tokens, and tags and words once more for numpy."""

    number: int
    positions: NDArray[np.int64]
    annotated: Tokens
    tags: NDArray[np.int64]
    words: NDArray[np.int64]


@cache_outside_modes
def reaches_of(tables: tuple[ReachTables, ...]) -> Reaches:
    """Return which reaches a layer's rules have, as `backends.Backend` tells them apart."""
    lookup = compile_lookup(tables)
    if not lookup.has_bounded:
        return "document"
    words = [tag for tag in range(lookup.document.shape[1]) if tag not in (*_STRUCTURAL, PAD)]
    return "both" if bool(lookup.document[:, words][:, :, words].any()) else "bounded"


def make_block_groups(
    annotation: Annotation, tables: Sequence[ReachTables], strategy: Strategy, *, learned: bool, drops: bool
) -> tuple[BlockGroup, ...]:
    """Return the groups of blocks of a batch under one layer's tables, hard or soft; `drops` as in `Plan.block_groups`.

    Raises `UnsortedError` where bounded rules meet word or sentence numbers that decrease within a text.
    """
    lookup = compile_lookup(tuple(tables))
    groups: list[BlockGroup] = []
    for text in _texts(annotation):
        groups += _soft(lookup, text, learned=learned, drops=drops) if strategy == "soft" else _hard(lookup, text)
    return tuple(groups)


def _texts(annotation: Annotation) -> list[_Text]:
    texts = []
    real = (annotation.tag_ids != PAD).numpy()
    for number, row in enumerate(real):
        positions = np.flatnonzero(row)
        if len(positions) == 0:
            continue
        tokens = as_slice(positions)
        tags, words = annotation.tag_ids[number, tokens], annotation.word_ids[number, tokens]
        sentences = None if annotation.sentence_ids is None else annotation.sentence_ids[number, tokens]
        texts.append(_Text(number, positions, Tokens.of(tags, words, sentences), tags.numpy(), words.numpy()))
    return texts


def _hard(lookup: PairLookup, text: _Text) -> list[BlockGroup]:
    if not lookup.has_bounded and _covers_words(lookup, text):
        return document_blocks(
            lookup, text.tags, text=text.number, positions=text.positions, without_tags=(), accumulates=False
        )
    _check_order(lookup, text)
    # The band takes the structural keys along: a few columns are too little for blocks of their own.
    tags = [tag for tag in _STRUCTURAL if bool(lookup.document[:, :, tag].any())]
    structural = torch.from_numpy(np.flatnonzero(tag_mask(tags)[text.tags]))
    band = bounded_blocks(
        lookup,
        text.annotated,
        text=text.number,
        positions=text.positions,
        structural_keys=structural,
        hard=True,
        accumulates=False,
    )
    return [
        band,
        *document_blocks(
            lookup, text.tags, text=text.number, positions=text.positions, without_tags=tags, accumulates=True
        ),
    ]


def _soft(lookup: PairLookup, text: _Text, *, learned: bool, drops: bool) -> list[BlockGroup]:
    # A pair that is read twice would have its weight dropped by halves.
    if lookup.lowers or (lookup.has_bounded and drops):
        return [explicit_bias_blocks(lookup, text.annotated, text=text.number, positions=text.positions)]
    everything = tag_bias_blocks(lookup, text.tags, text=text.number, positions=text.positions, learned=learned)
    if not lookup.has_bounded:
        return [everything]
    _check_order(lookup, text)
    none = torch.empty(0, dtype=torch.int64, device="cpu")
    return [
        everything,
        bounded_blocks(
            lookup,
            text.annotated,
            text=text.number,
            positions=text.positions,
            structural_keys=none,
            hard=False,
            accumulates=True,
        ),
    ]


def _covers_words(lookup: PairLookup, text: _Text) -> bool:
    """Tell whether document reach alone lets every token read itself and its own word."""
    tags = occurring_tags(text.tags)
    if not bool(lookup.document[:, tags, tags].all()):
        return False
    order = np.argsort(text.words, kind="stable")
    words, tags = text.words[order], text.tags[order]
    same = (words[1:] == words[:-1]) & (words[1:] >= 0)
    return bool((tags[1:] == tags[:-1])[same].all())


def _check_order(lookup: PairLookup, text: _Text) -> None:
    sentences = text.annotated.query_sentences if lookup.by_sentence else None
    for name, ids in (("word_ids", text.words), ("sentence_ids", None if sentences is None else sentences.numpy())):
        if ids is not None and not in_reading_order(ids):
            raise UnsortedError(
                f'{name} decrease within text {text.number}; bounded rules need reading order, or backend="dense"'
            )
