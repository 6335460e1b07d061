"""A layer's tables on a device, as block masks and pair functions look them up; made once for each device."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...grammar.caching import cache_outside_modes
from ...grammar.rules import Reach
from ...grammar.tables import ReachTables
from ...grammar.tags import PAD, TAGS
from ..blocks.head_bits import bool_mask
from ..blocks.lookup import compile_lookup
from ..blocks.sorted import FREQUENCY

_FEW: Final[int] = 4  # reaches of which each pair's words are compared with all; of more, one is looked up


class BoundedTable(NamedTuple):
    """What a bounded reach allows: bool (heads, tags, tags), and in bits as `FlexRules.document_bits`.

    `bounds` (2,) are those of the offsets of a reach of words.
    """

    reach: Reach
    allowed: Tensor
    bits: Tensor
    bounds: Tensor

    def to(self, device: torch.device) -> "BoundedTable":
        """Return it on a device."""
        return BoundedTable(self.reach, self.allowed.to(device), self.bits.to(device), self.bounds.to(device))


@dataclass(frozen=True, eq=False)
class FlexRules:
    """The tables of one layer; padding is never read under them.

    `document` (heads, tags, tags) is what document reach allows, `document_bits` (heads, tags) the same for each query
    tag, a bit for each key tag; `bounded` is what each other reach allows. `beyond` (heads, cells) is
    `PairLookup.bounded` as bool, `strength` its strengths and `base` those by tags alone. `buckets` are those of word
    offsets; `reach` (2,) holds the least and the greatest offset that has one of its own. `query_rank` and `key_rank`
    (tags,) sort tokens by tag.
    """

    document: Tensor
    document_bits: Tensor
    bounded: tuple[BoundedTable, ...]
    beyond: Tensor
    strength: Tensor
    base: Tensor
    lifts: bool
    buckets: Tensor
    reach: Tensor
    by_sentence: bool
    sink_tokens: int
    query_rank: Tensor
    key_rank: Tensor

    @property
    def cells_per_tags(self) -> int:
        """How many cells there are for each pair of tags."""
        return self.beyond.shape[1] // len(TAGS) ** 2

    @property
    def has_few_reaches(self) -> bool:
        """Whether comparing a pair's words with each reach costs less than looking up what holds at their offset."""
        return len(self.bounded) <= _FEW


@cache_outside_modes
def rules_on(tables: tuple[ReachTables, ...], device: torch.device) -> FlexRules:
    """Return the tables of a layer on a device; equal objects are moved once."""
    lookup = compile_lookup(tables)
    document = _unpadded(lookup.document)
    readers, keys = document.numpy().reshape(-1, len(TAGS)), document.numpy().swapaxes(1, 2).reshape(-1, len(TAGS))
    return FlexRules(
        document=document.to(device),
        document_bits=_bits(document).to(device),
        bounded=tuple(_bounded(table).to(device) for table in tables[1:]),
        beyond=_cells(lookup.bounded, lookup.heads).to(device),
        strength=lookup.strength.to(device),
        base=lookup.base.flatten(1).to(device),
        lifts=lookup.lifts,
        buckets=lookup.buckets.to(device),
        reach=_int32(lookup.lo - 1, lookup.hi + 1).to(device),
        by_sentence=lookup.by_sentence,
        sink_tokens=tables[0].sink_tokens,
        query_rank=torch.from_numpy(tag_ranks(keys.tobytes())).to(device),
        key_rank=torch.from_numpy(tag_ranks(readers.tobytes())).to(device),
    )


def _bounded(table: ReachTables) -> BoundedTable:
    allowed = _unpadded(table.allowed)
    return BoundedTable(table.reach, allowed, _bits(allowed), _int32(table.reach.lo, table.reach.hi))


def _bits(table: Tensor) -> Tensor:
    """Return a table (heads, tags, tags) as int32 (heads, tags), a bit for each key tag."""
    values = torch.tensor([1 << tag for tag in range(len(TAGS))], dtype=torch.int32, device="cpu")
    return (table * values).sum(2, dtype=torch.int32)


def _int32(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int32, device="cpu")


def _unpadded(table: Tensor) -> Tensor:
    """Return a table (heads, tags, tags) that allows nothing to padding, and no one to read it."""
    table = table.clone()
    table[:, PAD] = False
    table[:, :, PAD] = False
    return table


def _cells(bits: Tensor, heads: int) -> Tensor:
    """Return look-up bits (words, cells) as bool (heads, cells) under which nothing reads padding."""
    cells = bool_mask(bits[None, :, None], heads)[0, :, 0]
    by_tags = cells.view(heads, len(TAGS), len(TAGS), -1)
    by_tags[:, PAD] = False
    by_tags[:, :, PAD] = False
    return cells


@lru_cache(maxsize=1024)
def tag_ranks(rows: bytes) -> NDArray[np.int64]:
    """Return the rank of each tag in an order in which neighbours are in about the same of `rows` (any, tags).

    Frequent tags are placed first; each other goes where it differs least from those beside it. Padding comes last.
    """
    member = np.frombuffer(rows, dtype=np.bool_).reshape(-1, len(TAGS)).T
    weights = np.tile(FREQUENCY, member.shape[1] // len(TAGS))
    differ = (member[:, None] != member[None]) @ weights
    differ = np.pad(differ, (0, 1))  # the ends of the order differ from nothing
    order = [len(TAGS), len(TAGS)]
    for tag in np.argsort(-FREQUENCY, kind="stable"):
        if tag != PAD:
            costs = [differ[tag, one] + differ[tag, other] - differ[one, other] for one, other in pairwise(order)]
            order.insert(int(np.argmin(costs)) + 1, int(tag))
    rank = np.full(len(TAGS), len(TAGS), dtype=np.int64)
    rank[order[1:-1]] = np.arange(len(order) - 2)
    return rank
