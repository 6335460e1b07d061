"""The pairs that a grammar allows, counted on tagged texts, a few queries at a time: no mask is ever whole."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..grammar.grammar import Grammar
from ..grammar.masks import PairCounts
from ..grammar.tables import ReachTables, compile_layers
from ..grammar.tags import CLS, PAD, SEP
from ..tagging.tagger import TaggedText
from .causal_pairs import CausalText, count_causal_pairs
from .dense import dense_mask
from .inputs import Annotation
from .position_mask import FREE, PositionMask

MOST_WORDS: Final[int] = 5_000  # in a text of `measure_density`: time grows with the square
_TILE: Final[int] = 1 << 22  # pairs that are looked up at a time


def measure_density(grammar: Grammar, texts: Iterable[TaggedText], *, layers: int, heads: int) -> PairCounts:
    """Count the pairs that `grammar` allows, over all layers and heads of a model of this size.

    Each word is one token, between [CLS] and [SEP]. Raises `InputError` for a text of more than `MOST_WORDS` words.
    """
    compiled = compile_layers(grammar, layers=layers, heads=heads)
    total = PairCounts()
    for number, text in enumerate(texts, start=1):
        if len(text) > MOST_WORDS:
            raise InputError(
                f"text {number} has {len(text):,} words, but all their pairs are counted, of at most {MOST_WORDS:,} "
                "words a text; split it into lines"
            )
        total += count_layers(compiled, _annotate(text))
    return total


def measure_causal_density(grammar: Grammar, texts: Iterable[TaggedText], *, layers: int, heads: int) -> PairCounts:
    """Count the same of the pairs that a causal model reads: a word, and those before it.

    Each word is one token, with nothing around, as decoders have it. Texts may be of any length.
    """
    compiled = compile_layers(grammar, layers=layers, heads=heads)
    positions = [PositionMask(causal=True)] * layers
    total = PairCounts()
    for text in texts:
        words = np.arange(len(text), dtype=np.int64)
        read = CausalText(text.tag_ids.astype(np.int64), words, text.sentence_ids.astype(np.int64))
        counts = count_causal_pairs(compiled, read, positions)
        allowed, pairs = int(counts.sum()), counts.size * len(words) * (len(words) + 1) // 2
        total += PairCounts(allowed, pairs, allowed, pairs)
    return total


def count_layers(
    layer_tables: Sequence[tuple[ReachTables, ...]],
    annotation: Annotation,
    positions: Sequence[PositionMask] | None = None,
) -> PairCounts:
    """Count the pairs of a batch that are allowed in all layers together.

    `positions` are the masks of the model's own, one for each layer. Equal layers are counted once.
    """
    counted: dict[tuple[int, PositionMask], PairCounts] = {}
    total = PairCounts()
    for tables, position in zip(layer_tables, positions or [FREE] * len(layer_tables), strict=True):
        key = (id(tables), position)
        if key not in counted:
            counted[key] = count_allowed(tables, annotation, position)
        total += counted[key]
    return total


def count_allowed(tables: Sequence[ReachTables], annotation: Annotation, position: PositionMask = FREE) -> PairCounts:
    """Return what `masks.count_pairs` does for the mask of one layer's tables, ANDed with the model's own."""
    real, word = annotation.tag_ids != PAD, annotation.word_ids >= 0
    allowed = word_allowed = 0
    places = torch.arange(real.shape[1], dtype=torch.int64, device=real.device)
    for rows in _tiles(*real.shape):
        mask = dense_mask(tables, annotation, rows=rows) & position.between(places[rows], places)
        allowed += int((mask & _pairs(real, rows)).sum())
        word_allowed += int((mask & _pairs(word, rows)).sum())
    heads = tables[0].allowed.shape[0]
    pairs, word_pairs = (int((tokens.sum(1) ** 2).sum()) * heads for tokens in (real, word))
    return PairCounts(allowed, pairs, word_allowed, word_pairs)


def _tiles(batch: int, length: int) -> Iterator[slice]:
    step = max(1, _TILE // max(1, batch * length))
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _pairs(tokens: Tensor, rows: slice) -> Tensor:
    """Return the pairs of marked tokens (batch, length), for some queries: bool (batch, 1, queries, length)."""
    return tokens[:, None, rows, None] & tokens[:, None, None, :]


def _annotate(text: TaggedText) -> Annotation:
    words = np.arange(len(text))
    return Annotation(_enclosed(CLS, text.tag_ids, SEP), _enclosed(-1, words, -1), _enclosed(-1, text.sentence_ids, -1))


def _enclosed(first: int, ids: NDArray[np.integer], last: int) -> Tensor:
    return torch.from_numpy(np.concatenate([[first], ids, [last]]).astype(np.int64))[None]
