"""The rules pair by pair, as FlexAttention takes them: `mask_mod` says what is read, `score_mod` adds strengths."""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

import torch

from ...grammar.tags import PAD
from .pair_tensors import Cells, Compared, PairKind, PairTensors

# Of batch, head, query and key, or of a score and these: FlexAttention hands over tensors without an axis.
PairFunction = Callable[..., Any]


def mask_function(kind: PairKind, tensors: PairTensors) -> PairFunction:
    """Return the `mask_mod` of a call: which pairs it reads.

    What hangs on a query or on a key alone is loaded once for a block, and pairs compare it in registers: a look-up for
    each pair takes many times as long.
    """

    def mask(batch: Any, head: Any, query: Any, key: Any) -> Any:
        at = batch, query, key
        if tensors.key_tags is not None:
            found = tensors.key_tags[batch, key] != PAD
        else:
            found = _is_allowed(kind, tensors, _row(kind, head), *at)
        if tensors.places is not None:
            offset, bounds = _offset(tensors.places.of, *at), tensors.places.bounds
            found = found & (offset >= bounds[0]) & (offset <= bounds[1])
        return found

    return mask


def score_function(kind: PairKind, tensors: PairTensors) -> PairFunction | None:
    """Return the `score_mod` of a call, a score plus the strength of its pair; None where nothing is added."""
    cells = tensors.cells
    if tensors.tags is not None or cells is None:  # hard rules look up what is allowed
        return None

    def score(value: Any, batch: Any, head: Any, query: Any, key: Any) -> Any:
        return value + _looked_up(cells, _row(kind, head), batch, query, key)

    return score


def _row(kind: PairKind, head: Any) -> Any:
    """Return a head's row of a table; a tensor in any case, since PyTorch 2.9 and 2.10 mix no numbers with tensors."""
    return head if kind.per_head else 0 * head


def _is_allowed(kind: PairKind, tensors: PairTensors, head: Any, batch: Any, query: Any, key: Any) -> Any:
    assert tensors.tags is not None  # noqa: S101 - hard rules have them
    at = batch, query, key
    tag, bit = tensors.tags.queries[batch, query], tensors.tags.keys[batch, key]

    def tags_allow(bits: Any) -> Any:
        return (bits[head, tag] & bit) != 0

    near = [] if tensors.own is None else [_equal(tensors.own, *at)]
    if tensors.cells is not None:
        near.append(_looked_up(tensors.cells, head, *at))
    if tensors.words is not None:
        offset = _offset(tensors.words, *at)
        near += [
            (offset >= bounds[0]) & (offset <= bounds[1]) & tags_allow(bits) for bits, bounds in tensors.word_reaches
        ]
    if tensors.sentences is not None:
        near.append(_equal(tensors.sentences, *at) & tags_allow(tensors.sentence_bits))
    found = tags_allow(tensors.tags.document)
    if near:
        found = found | reduce(or_, near) if kind.document else reduce(or_, near) & ~found
    if tensors.sinks is not None:
        sinks = tensors.sinks[batch, key]
        found = found | sinks if kind.document else found & ~sinks
    return found


def _offset(of: Compared, batch: Any, query: Any, key: Any) -> Any:
    return of.keys[batch, key] - of.queries[batch, query]


def _equal(of: Compared, batch: Any, query: Any, key: Any) -> Any:
    return of.keys[batch, key] == of.queries[batch, query]


def _looked_up(cells: Cells, head: Any, batch: Any, query: Any, key: Any) -> Any:
    """Return what a table holds for a pair, whose cells are counted as by `PairLookup.index`."""
    cell = cells.of.queries[batch, query] + cells.of.keys[batch, key]
    if cells.offsets is not None:
        words, buckets, reach, sentences = cells.offsets
        offset = torch.minimum(torch.maximum(_offset(words, batch, query, key), reach[0]), reach[1]) - reach[0]
        cell = cell + buckets[offset]
        if sentences is not None:
            cell = cell + _equal(sentences, batch, query, key).int()
    return cells.table[head, cell]
