"""Dense masks and biases by look-up, the same as the oracle's: one gather, however many rules there are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..grammar.caching import cache_outside_modes
from ..grammar.masks import first_tokens, merge_masks
from ..grammar.tables import ReachTables
from ..grammar.tags import PAD
from .blocks.block import ALL
from .blocks.head_bits import EVERY, NONE, additive_mask, bool_mask, numbered_mask
from .blocks.lookup import PairLookup, compile_lookup, take_cells
from .blocks.tokens import Tokens
from .inputs import Annotation
from .tracing import is_tracing


class Cells:
    """Which cells of a layer's look-up the pairs of a batch are in: int32 (batch, length, length).

    Layers whose rules tell the same distances apart share them: they are `kept` where the next layer is to find them.
    """

    def __init__(self, annotation: Annotation, *, kept: bool) -> None:
        self._tokens = Tokens.of(annotation.tag_ids, annotation.word_ids, annotation.sentence_ids)
        self._kept: dict[tuple[int, ...], Tensor] | None = {} if kept else None

    def of(self, lookup: PairLookup, rows: slice) -> Tensor:
        """Return the cells of all pairs, or those of the rows of some queries."""
        tokens = self._tokens
        if self._kept is None or rows != ALL:
            return lookup.index(tokens if rows == ALL else tokens.at((ALL, rows)), tokens)
        if lookup.edges not in self._kept:
            self._kept[lookup.edges] = lookup.index(tokens, tokens)
        return self._kept[lookup.edges]


def dense_mask(
    tables: Sequence[ReachTables], annotation: Annotation, *, rows: slice = ALL, lookup: PairLookup | None = None
) -> Tensor:
    """Return what `masks.allowed_pairs` does: bool (batch, heads, length, length), or the rows of some queries."""
    return bool_mask(allowed_bits(tables, annotation, rows=rows, lookup=lookup), heads_of(tables))


def allowed_bits(
    tables: Sequence[ReachTables], annotation: Annotation, *, rows: slice = ALL, lookup: PairLookup | None = None,
    cells: Cells | None = None,
) -> Tensor:  # fmt: skip
    """Return the same in bits, see `head_bits`: int16 (batch, words, length, length), or the rows of some queries.

    `lookup` is what `compile_lookup` makes of the tables, and `cells` are the batch's, from a caller that has them.
    """
    lookup, index = _index(tables, annotation, rows, lookup, cells)
    bits = take_cells(lookup.allowed, index)
    if is_tracing():
        bits = bits.int()  # ONNX runtimes select among 32 bits, but not among 16
        places = torch.arange(annotation.tag_ids.shape[1], dtype=torch.int32, device=index.device)
        bits.masked_fill_(places[rows, None] == places, EVERY)
    else:
        bits.diagonal(rows.start or 0, -2, -1).fill_(EVERY)
    if tables[0].sink_tokens:
        bits.masked_fill_(first_tokens(annotation.tag_ids, tables[0].sink_tokens)[:, None, None, :], EVERY)
    if is_tracing() or annotation.is_padded:
        bits.masked_fill_((annotation.tag_ids == PAD)[:, None, None, :], NONE)
    return bits


def merged_mask(
    tables: Sequence[ReachTables], at: Annotation, model_mask: Tensor | None, dtype: torch.dtype, *, rows: slice,
    lookup: PairLookup | None = None, cells: Cells | None = None,
) -> Tensor:  # fmt: skip
    """Return the hard mask of some queries, ANDed with the model's own, in the form that attention adds.

    Rows of padding are left to the model's own mask.
    """
    bits = allowed_bits(tables, at, rows=rows, lookup=lookup, cells=cells)
    if is_tracing() or at.is_padded:
        bits.masked_fill_((at.tag_ids == PAD)[:, None, rows, None], EVERY)
    if model_mask is not None and model_mask.dtype == torch.bool and model_mask.shape[1] == 1:
        # Once for all heads.
        bits.masked_fill_(~model_mask, NONE)
        model_mask = None
    return merge_masks(additive_mask(bits, heads_of(tables), dtype), model_mask).to(dtype)


def without_padding(bias: Tensor, at: Annotation, rows: slice = ALL) -> Tensor:
    """Return a bias (batch, heads, length or some rows, length) under which no token reads padding."""
    if not is_tracing() and not at.is_padded:
        return bias
    keys = (at.tag_ids == PAD)[:, None, None, :]
    queries = keys.transpose(2, 3)[:, :, rows]
    bias = bias.masked_fill(queries, 0.0)
    # A key of padding is never read: a row of padding itself, which the model's own mask governs, may.
    return bias.masked_fill(keys & ~queries, -torch.inf)


def heads_of(tables: Sequence[ReachTables]) -> int:
    """Return how many heads a layer's tables tell apart, 1 when all agree."""
    return tables[0].allowed.shape[0]


def dense_bias(
    tables: Sequence[ReachTables], annotation: Annotation, *, rows: slice = ALL, lookup: PairLookup | None = None,
    cells: Cells | None = None,
) -> Tensor:  # fmt: skip
    """Return what `masks.pair_strengths` does: float32 (batch, heads, length, length), or the rows of some queries."""
    lookup, index = _index(tables, annotation, rows, lookup, cells)
    if lookup.numbered is None:
        return take_cells(lookup.strength, index)
    # Looked up once for all heads.
    return numbered_mask(take_cells(lookup.numbered, index), lookup.heads, lookup.number)


def _index(
    tables: Sequence[ReachTables], annotation: Annotation, rows: slice, lookup: PairLookup | None, cells: Cells | None
) -> tuple[PairLookup, Tensor]:
    lookup, device = lookup or compile_lookup(tuple(tables)), annotation.tag_ids.device
    if lookup.buckets.device != device:
        lookup = _move(lookup, device) if is_tracing() else _moved(lookup, device)
    return lookup, (cells or Cells(annotation, kept=False)).of(lookup, rows)


def _move(lookup: PairLookup, device: torch.device) -> PairLookup:
    tensors: dict[str, Any] = {name: part.to(device) for name, part in vars(lookup).items() if isinstance(part, Tensor)}
    return replace(lookup, **tensors)


_moved = cache_outside_modes(_move)  # once for each device: copying numbers to a GPU waits for it
