"""Which blocks of pairs a call must compute, told from tags, words and places of the blocks: never n x n.

A block is left out only where none of its pairs can be read, and taken without a mask only where all of them are. What
lies between is masked pair by pair, so a block too many costs time, not exactness.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from ..position_mask import PositionMask
from .part import Part
from .rule_tables import FlexRules
from .side import BLOCK, Side, bounds_of, in_blocks

_PAIRS: Final[int] = BLOCK * BLOCK
_ANY: Final[int] = 1 << 40  # tokens to a side that nothing bounds


class BlockMap(NamedTuple):
    """Blocks with `some` pair that may be read, and `full` ones: bool (batch, heads or 1, query blocks, key blocks)."""

    some: Tensor
    full: Tensor


def block_map(part: Part, rules: FlexRules, queries: Side, keys: Side, position: PositionMask) -> BlockMap:
    """Return the blocks of one call."""
    found = _readable(queries, keys) if part.soft else _by_rules(part, rules, queries, keys)
    if position.is_free:
        return found
    places = [bounds_of(side.places, side.real) for side in (queries, keys)]
    touches, covers = _between(*places, lo=_side(position.left, -1), hi=_side(position.right, 1))
    return BlockMap(found.some & touches, found.full & covers)


def _readable(queries: Side, keys: Side) -> BlockMap:
    """Return the blocks of all pairs of real tokens."""
    pairs = queries.counts(queries.real).sum(2)[:, None, :, None] * keys.counts(keys.real).sum(2)[:, None, None, :]
    return BlockMap(pairs > 0, pairs == _PAIRS)


def _by_rules(part: Part, rules: FlexRules, queries: Side, keys: Side) -> BlockMap:
    some = torch.zeros((), dtype=torch.bool, device=keys.tags.device)
    full = some
    if part.document:
        pairs = _pairs(rules.document, queries.counts(queries.real), keys.counts(keys.real))
        some, full = pairs > 0, pairs == _PAIRS
    for reach, table, *_ in rules.bounded if part.bounded else ():
        (query_numbers, known), (key_numbers, key_known) = queries.numbers(reach), keys.numbers(reach)
        pairs = _pairs(table, queries.counts(known), keys.counts(key_known))
        bounds = bounds_of(query_numbers, known), bounds_of(key_numbers, key_known)
        touches, covers = _between(*bounds, lo=reach.lo, hi=reach.hi)
        some, full = some | ((pairs > 0) & touches), full | ((pairs == _PAIRS) & covers)
    if part.own:
        some = some | own_blocks(queries, keys)[:, None]
    if rules.sink_tokens:
        sinks = in_blocks(keys.sinks, fill=False).any(-1)[:, None, None, :]
        if part.document:
            some = some | (sinks & queries.has_real[:, None, :, None])
        else:
            full = full & ~sinks
    if not part.document:  # what document reach allows is another call's
        full = full & (_pairs(rules.document, queries.counts(queries.real), keys.counts(keys.real)) == 0)
    return BlockMap(some, full)


def _pairs(table: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Count the pairs of each block that a table (heads, tags, tags) allows: (batch, heads, blocks, blocks), exact."""
    return queries[:, None] @ table.float() @ keys[:, None].transpose(2, 3)


def _between(queries: tuple[Tensor, Tensor], keys: tuple[Tensor, Tensor], *, lo: int, hi: int) -> tuple[Tensor, Tensor]:
    """Return which blocks may hold a key's number less a query's from `lo` to `hi`, and which can hold no other.

    `queries` and `keys` are the least and greatest numbers of their blocks: (batch, 1, query blocks, key blocks).
    """
    (query_least, query_most), (key_least, key_most) = (
        [bound.long() for bound in bounds] for bounds in (queries, keys)
    )
    least = (key_least[:, None] - query_most[:, :, None])[:, None]
    most = (key_most[:, None] - query_least[:, :, None])[:, None]
    return (least <= hi) & (most >= lo), (least >= lo) & (most <= hi)


def _side(tokens: int | None, sign: int) -> int:
    return sign * (_ANY if tokens is None else tokens)


def own_blocks(queries: Side, keys: Side) -> Tensor:
    """Return the blocks in which a token meets itself or its word: bool (batch, query blocks, key blocks).

    Where a word's tokens are far apart in the order, the blocks between them are taken too.
    """
    batch, blocks = len(keys.own), -(-keys.own.shape[1] // BLOCK)
    numbers, words = torch.cat([keys.own, queries.own], 1).sort(dim=1, stable=True)
    starts = torch.nn.functional.pad((numbers[:, 1:] != numbers[:, :-1]).long(), (1, 0)).cumsum(1)
    word_of = torch.empty_like(words).scatter_(1, words, starts)
    of_keys, of_queries = word_of[:, : keys.own.shape[1]], word_of[:, keys.own.shape[1] :]
    at = _block_numbers(keys.own).expand_as(of_keys)
    first = torch.full_like(words, blocks).scatter_reduce_(1, of_keys, at, "amin").gather(1, of_queries)
    last = torch.full_like(words, -1).scatter_reduce_(1, of_keys, at, "amax").gather(1, of_queries)
    # Each query opens its span of key blocks, and closes it: sums along the keys are above 0 within any span.
    rows = _block_numbers(queries.own) * (blocks + 1)
    counted = queries.real.int()
    spans = counted.new_zeros(batch, -(-of_queries.shape[1] // BLOCK) * (blocks + 1))
    spans.scatter_add_(1, rows + first, counted).scatter_add_(1, rows + last + 1, -counted)
    return spans.view(batch, -1, blocks + 1).cumsum(2)[:, :, :-1] > 0


def _block_numbers(tokens: Tensor) -> Tensor:
    """Return which block each of the tokens (batch, tokens) lies in: int64 (tokens,)."""
    return torch.arange(tokens.shape[1], dtype=torch.int64, device=tokens.device).div(BLOCK, rounding_mode="floor")
