"""From one batch and one layer's tables to the blocks that the sparse kernels work through."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...grammar.rules import Strategy
from ...grammar.tables import ReachTables
from ...grammar.tags import CLS, SEP, UNK
from .banded import banded_blocks, in_reading_order
from .bands import free_band, lifting_band, reaching_band, strength_band, whole_band
from .biased import explicit_bias_blocks, tag_bias_blocks
from .block import BlockGroup
from .document import document_blocks
from .lookup import PairLookup, compile_lookup
from .text import Text, occurring_tags, tag_mask
from .wide import wide_blocks

_STRUCTURAL: Final[tuple[int, ...]] = (CLS, SEP, UNK)
_WIDE: Final[int] = 192  # keys of a window


class UnsortedError(InputError):
    """Word or sentence numbers that decrease within a text, where bounded rules need reading order."""


def make_block_groups(
    texts: Sequence[Text], tables: Sequence[ReachTables], strategy: Strategy, *, learned: bool, drops: bool,
    start: int,
) -> tuple[BlockGroup, ...]:  # fmt: skip
    """Return the groups of blocks of a batch under one layer's tables, hard or soft; `drops` and `start` as in `Plan`.

    Raises `UnsortedError` where bounded rules meet word or sentence numbers that decrease within a text.
    """
    lookup = compile_lookup(tuple(tables))
    sinks = tables[0].sink_tokens
    groups: list[BlockGroup] = []
    for text in texts:
        if strategy == "hard":
            groups += _hard(lookup, text, np.arange(len(text)) < sinks, start)
        else:
            groups += _soft(lookup, text, learned=learned, drops=drops, start=start)
    return tuple(groups)


def _hard(lookup: PairLookup, text: Text, sinks: NDArray[np.bool_], start: int) -> list[BlockGroup]:
    narrow = not text.is_free and text.is_narrow
    if narrow and _reads_all(lookup, text):
        return [banded_blocks(lookup, text, free_band(lookup, text), accumulates=False, start=start)]
    if not narrow and not lookup.has_bounded and not sinks.any() and _covers_words(lookup, text):
        return document_blocks(lookup, text, without=sinks, accumulates=False, start=start)
    _check_order(lookup, text)
    # The band takes the structural keys along: a few columns are too little for blocks of their own.
    tags = [tag for tag in _STRUCTURAL if bool(lookup.document[:, :, tag].any())]
    aside = tag_mask(tags)[text.tags] | sinks
    band = (whole_band if narrow else reaching_band)(lookup, text, np.flatnonzero(aside), sinks)
    if not text.is_free and not narrow and band.width(text.queries) > _WIDE:
        return wide_blocks(lookup, text, sinks, start)
    groups = [banded_blocks(lookup, text, band, accumulates=False, start=start)]
    if narrow:
        return groups
    return [*groups, *document_blocks(lookup, text, without=aside, accumulates=True, start=start)]


def _soft(lookup: PairLookup, text: Text, *, learned: bool, drops: bool, start: int) -> list[BlockGroup]:
    if not text.is_free and text.is_narrow and not learned:
        band = free_band if _adds_nothing(lookup, text) else strength_band
        return [banded_blocks(lookup, text, band(lookup, text), accumulates=False, start=start)]
    # A pair that is read twice would have its weight dropped by halves.
    if lookup.lowers or (lookup.lifts and drops):
        return [explicit_bias_blocks(lookup, text)]
    everything = tag_bias_blocks(lookup, text, learned=learned, start=start)
    if not lookup.lifts:
        return everything
    _check_order(lookup, text)
    return [*everything, banded_blocks(lookup, text, lifting_band(lookup, text), accumulates=True, start=start)]


def _reads_all(lookup: PairLookup, text: Text) -> bool:
    """Tell whether every token may read every other, whatever their words and sentences."""
    tags = occurring_tags(text.tags)
    return bool(lookup.document[:, tags][:, :, tags].all())


def _adds_nothing(lookup: PairLookup, text: Text) -> bool:
    """Tell whether no pair of this text's tags has a strength."""
    tags = occurring_tags(text.tags)
    return not bool(lookup.strength.view(*lookup.document.shape, -1)[:, tags][:, :, tags].any())


def _covers_words(lookup: PairLookup, text: Text) -> bool:
    """Tell whether document reach alone lets every token read itself and its own word."""
    tags = occurring_tags(text.tags)
    if not bool(lookup.document[:, tags, tags].all()):
        return False
    order = np.argsort(text.words, kind="stable")
    words, tags = text.words[order], text.tags[order]
    same = (words[1:] == words[:-1]) & (words[1:] >= 0)
    return bool((tags[1:] == tags[:-1])[same].all())


def _check_order(lookup: PairLookup, text: Text) -> None:
    sentences = text.annotated.query_sentences if lookup.by_sentence else None
    for name, ids in (("word_ids", text.words), ("sentence_ids", None if sentences is None else sentences.numpy())):
        if ids is not None and not in_reading_order(ids):
            raise UnsortedError(
                f'{name} decrease within text {text.number}; bounded rules need reading order, or backend="dense"'
            )
