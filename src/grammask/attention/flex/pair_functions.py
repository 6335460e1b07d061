"""The rules pair by pair, as FlexAttention takes them: `mask_mod` says what is read, `score_mod` adds strengths."""

from collections.abc import Callable
from typing import Any

import torch

from ...grammar.tags import PAD
from .pair_kind import PairKind, PairTensors

# Of batch, head, query and key, or of a score and these: FlexAttention hands over tensors without an axis.
PairFunction = Callable[..., Any]


def mask_function(kind: PairKind, tensors: PairTensors) -> PairFunction:
    """Return the `mask_mod` of a call: which pairs it reads."""

    def mask(batch: Any, head: Any, query: Any, key: Any) -> Any:
        if kind.adds:
            found = tensors.key_tags[batch, key] != PAD
        else:
            found = tensors.cells[head if kind.per_head else 0, _cell(kind, tensors, batch, query, key)]
        if kind.own and not kind.by_distance:
            found = found | (tensors.query_own[batch, query] == tensors.key_own[batch, key])
        if kind.reads_sinks:
            found = found | tensors.sinks[batch, key]
        if kind.leaves_sinks:
            found = found & ~tensors.sinks[batch, key]
        if kind.by_place:
            offset = tensors.key_places[batch, key] - tensors.query_places[batch, query]
            found = found & (offset >= tensors.bounds[0]) & (offset <= tensors.bounds[1])
        return found

    return mask


def score_function(kind: PairKind, tensors: PairTensors) -> PairFunction | None:
    """Return the `score_mod` of a call, a score plus the strength of its pair; None where nothing is added."""
    if not kind.adds:
        return None

    def score(value: Any, batch: Any, head: Any, query: Any, key: Any) -> Any:
        return value + tensors.cells[head if kind.per_head else 0, _cell(kind, tensors, batch, query, key)]

    return score


def _cell(kind: PairKind, tensors: PairTensors, batch: Any, query: Any, key: Any) -> Any:
    """Return the cell of a pair, as `PairLookup.index` counts them."""
    cell = tensors.query_cells[batch, query] + tensors.key_cells[batch, key]
    if not kind.by_distance:
        return cell
    offset = tensors.key_words[batch, key] - tensors.query_words[batch, query]
    offset = torch.minimum(torch.maximum(offset, tensors.reach[0]), tensors.reach[1]) - tensors.reach[0]
    bucket = tensors.buckets[offset]
    if kind.own:  # a token of no word is at no offset, not even to itself
        own = tensors.query_own[batch, query] == tensors.key_own[batch, key]
        bucket = torch.where(own, tensors.reach[2], bucket)
    cell = cell + bucket
    if kind.by_sentence:
        assert tensors.query_sentences is not None  # noqa: S101 - the rules ask for them
        assert tensors.key_sentences is not None  # noqa: S101
        cell = cell + (tensors.query_sentences[batch, query] == tensors.key_sentences[batch, key]).int()
    return cell
