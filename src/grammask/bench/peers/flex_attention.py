"""FlexAttention, compiled, with the grammar's tables as its mask or score (Dong and others 2024, arXiv 2412.05496)."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch._inductor.utils import fresh_cache
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from ...attention.position_mask import PositionMask
from ...grammar.masks import first_tokens
from ...grammar.tables import ReachTables
from ..contender import CannotRunError, Ready, median_seconds
from ..operator_inputs import OperatorInputs

_ANY: Final[int] = 1 << 28  # tokens to a side that no mask bounds
_Predicate = Callable[[Any, Any, Any, Any], Any]


def flex(inputs: OperatorInputs) -> Ready:
    """Compile FlexAttention for these inputs, without any cache, and say how long that took.

    The tokens keep their order. A block mask lets it skip blocks of 128 x 128 pairs without an allowed one; making
    the mask is its planning.
    """
    if inputs.gradient is not None and inputs.query.device.type == "cpu":
        raise CannotRunError("FlexAttention has no backward pass on the CPU")
    batch, _, length, _ = inputs.shape
    options: dict[str, Any] = {"enable_gqa": inputs.groups > 1}
    planning = None
    if inputs.strategy == "soft":
        options["score_mod"] = score_function(inputs)
    if inputs.strategy == "hard" or not inputs.position.is_free:
        per_head = inputs.tables[0].allowed.shape[0] if inputs.strategy == "hard" else 1
        make = partial(
            create_block_mask, mask_function(inputs), batch, per_head if per_head > 1 else None, length, length,
            device=inputs.query.device.type,
        )  # fmt: skip
        options["block_mask"] = make()
        planning = median_seconds(make)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns of every missing accelerator
    torch._dynamo.reset()
    compiled = torch.compile(flex_attention, dynamic=False)

    def attention() -> Tensor:
        output: Tensor = compiled(inputs.query, inputs.key, inputs.value, **options)
        return output

    call = inputs.attend(attention)
    start = time.perf_counter()
    with fresh_cache():
        call()
    compiling = time.perf_counter() - start
    return Ready(call, exact=True, facts={"planning_seconds": planning, "compile_seconds": compiling})


def mask_function(inputs: OperatorInputs) -> _Predicate:
    """Return as FlexAttention's mask_mod the model's own mask and, under hard, the grammar, pair by pair."""
    own = _position_function(inputs.position)
    if inputs.strategy == "soft":
        return lambda batch, head, query, key: own(query, key)
    allowed = _grammar_function(inputs)
    return lambda batch, head, query, key: own(query, key) & allowed(batch, head, query, key)


def _position_function(position: PositionMask) -> Callable[[Any, Any], Any]:
    left, right = (_ANY if side is None else side for side in (position.left, position.right))
    return lambda query, key: (query - key <= left) & (key - query <= right)


def _grammar_function(inputs: OperatorInputs) -> _Predicate:
    """Return the predicate of `masks.allowed_pairs`."""
    tags, words = inputs.annotation["tag_ids"], inputs.annotation["word_ids"]
    tables, within = _tables(inputs), _reach_function(inputs)
    first = first_tokens(tags, tables[0].sink_tokens)

    def mask(batch: Any, head: Any, query: Any, key: Any) -> Any:
        found = (query == key) | first[batch, key]
        found = found | ((words[batch, query] == words[batch, key]) & (words[batch, query] >= 0))
        for table in tables:
            row = head if table.allowed.shape[0] > 1 else 0
            cell = table.allowed[row, tags[batch, query], tags[batch, key]]
            found = found | (cell & within(table, batch, query, key))
        return found

    return mask


def score_function(inputs: OperatorInputs) -> Callable[[Any, Any, Any, Any, Any], Any]:
    """Return the grammar as FlexAttention's score_mod: a score plus `masks.pair_strengths`, pair by pair."""
    tags, tables, within = inputs.annotation["tag_ids"], _tables(inputs), _reach_function(inputs)
    # Numbers far below any strength, not infinities: those would make a pair that no rule matches unreadable.
    strengths = [table.strength.clamp(min=-1e9).to(inputs.query.dtype) for table in tables]

    def score(value: Any, batch: Any, head: Any, query: Any, key: Any) -> Any:
        best = None
        for table, strength in zip(tables, strengths, strict=True):
            row = head if strength.shape[0] > 1 else 0
            found = strength[row, tags[batch, query], tags[batch, key]]
            found = torch.where(within(table, batch, query, key), found, -1e9)
            best = found if best is None else torch.maximum(best, found)
        assert best is not None  # noqa: S101 - the document reach is always there
        return value + torch.where(best > -1e8, best, 0.0)

    return score


def _tables(inputs: OperatorInputs) -> list[ReachTables]:
    return [table.to(inputs.query.device) for table in inputs.tables]


def _reach_function(inputs: OperatorInputs) -> Callable[[ReachTables, Any, Any, Any], Any]:
    words, sentences = inputs.annotation["word_ids"], inputs.annotation["sentence_ids"]

    def within(table: ReachTables, batch: Any, query: Any, key: Any) -> Any:
        reach = table.reach
        if reach.kind == "document":
            return query >= 0
        if reach.kind == "sentence":
            one, other = sentences[batch, query], sentences[batch, key]
            return (one == other) & (one >= 0)
        one, other = words[batch, query], words[batch, key]
        offset = other - one
        return (offset >= reach.lo) & (offset <= reach.hi) & (one >= 0) & (other >= 0)

    return within
