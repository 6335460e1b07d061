"""A layer's tables compiled for look-up: one index per pair says all that tags, distance and sentence decide.

A cell is (query tag, key tag, bucket of the word offset, same sentence or not). Offsets that no rule tells apart
share a bucket; bucket 0 is every offset beyond all word reaches. One gather answers for all rules at once, however
many there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import EllipsisType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...grammar.caching import cache_outside_modes
from ...grammar.tables import ReachTables
from ...grammar.tags import TAGS, UPOS
from ..backends import Reaches
from .head_bits import pack_heads
from .tokens import Tokens


@dataclass(frozen=True, eq=False)
class PairLookup:
    """The compiled tables of one layer.

    `allowed` (words, cells) is what may be read, in bits, see `head_bits`. `document` (heads, tags, tags) is what
    document reach allows, `document_bits` (words, tags, tags) the same in bits, `bounded` (words, cells), in bits, what
    bounded reaches and shared words allow beyond it, so that the two never overlap.

    `strength` (heads, cells) is what the soft strategy adds; where heads differ and that is `number` or 0, `numbered`
    (words, cells) says where, in bits. `base` (heads, tags, tags) is the strength that holds at any distance, else 0.
    `extra_bias` (heads, cells) is the bias, in logits, of a second read of the same pair that lifts `base` to
    `strength`: log(exp(strength) - exp(base)), -inf where they are equal. `lowers` tells that some strength lies below
    its base, which no second read can bring about.

    `edges` are where the offsets begin that rules tell apart. `buckets` (offsets,) holds twice the bucket of each from
    lo - 1 to hi + 1; `lo` and `hi` are the widest word reach, 0 included. `by_sentence` tells whether any rule has
    sentence reach, `has_bounded` whether any rule is bounded at all.
    """

    allowed: Tensor
    document: Tensor
    document_bits: Tensor
    bounded: Tensor
    base: Tensor
    extra_bias: Tensor
    strength: Tensor
    numbered: Tensor | None
    number: float
    lowers: bool
    edges: tuple[int, ...]
    buckets: Tensor
    lo: int
    hi: int
    by_sentence: bool
    has_bounded: bool

    @property
    def heads(self) -> int:
        """The number of heads, 1 when all agree."""
        return self.document.shape[0]

    @cached_property
    def mean_document(self) -> NDArray[np.float32]:
        """What document reach allows (tags, tags), as the share of heads."""
        mean: NDArray[np.float32] = self.document.float().mean(0).numpy()
        return mean

    @cached_property
    def reaches(self) -> Reaches:
        """Which reaches the rules have, as `backends.Backend` tells them apart."""
        if not self.has_bounded:
            return "document"
        words = slice(0, len(UPOS))
        return "both" if bool(self.document[:, words, words].any()) else "bounded"

    @cached_property
    def kind(self) -> tuple[object, ...]:
        """What the choice and cost of blocks hang on, how much document reach allows only to a factor of 1.4.

        Where rules are alike in it, either all or none of them need reading order in a text.
        """
        allowed = round(2 * math.log2(1 + int(self.document.count_nonzero())))
        itself = self.document.diagonal(dim1=1, dim2=2).all(0).tolist()
        does = (self.reaches, self.by_sentence, self.lowers, self.adds, self.lifts)
        return (self.heads, self.edges, *does, allowed, *itself)

    @cached_property
    def adds(self) -> bool:
        """Whether the soft strategy adds anything to any score."""
        return bool(self.strength.any())

    @cached_property
    def lifts(self) -> bool:
        """Whether bounded reaches give any pair another strength than it has at any distance."""
        bounded = self.strength.view(*self.base.shape, -1)
        return bool((bounded != self.base[..., None]).any())

    @property
    def bucket_count(self) -> int:
        """The number of buckets of word offsets."""
        return self.bounded.shape[1] // (len(TAGS) ** 2 * 2)

    def index(self, rows: Tokens, keys: Tokens) -> Tensor:
        """Return the cells of all pairs of `rows` (..., queries) and `keys` (..., keys): int64 (..., queries, keys)."""
        per_tag = self.bucket_count * 2
        offset = keys.key_words[..., None, :] - rows.query_words[..., :, None]
        # In place throughout: these are the largest tensors that a plan makes.
        offset.clamp_(self.lo - 1, self.hi + 1).sub_(self.lo - 1)
        index = self.buckets.index_select(0, offset.view(-1)).view_as(offset)
        index += (rows.tags * (len(TAGS) * per_tag))[..., :, None]
        index += (keys.tags * per_tag)[..., None, :]
        if rows.query_sentences is not None and keys.key_sentences is not None:
            index += rows.query_sentences[..., :, None] == keys.key_sentences[..., None, :]
        return index


@cache_outside_modes
def compile_lookup(tables: tuple[ReachTables, ...]) -> PairLookup:
    """Compile the tables of one layer; equal objects are compiled once."""
    document, bounded = tables[0], tables[1:]
    words = [table for table in bounded if table.reach.kind == "words"]
    # Offset 0 is the token's own word, which it always reads.
    lo = min([0, *(table.reach.lo for table in words)])
    hi = max([0, *(table.reach.hi for table in words)])
    edges = sorted({lo, 0, 1, hi + 1, *(edge for t in words for edge in (t.reach.lo, t.reach.hi + 1))})
    buckets = torch.from_numpy(np.searchsorted(edges, np.arange(lo - 1, hi + 2), side="right"))
    buckets[-1] = 0
    first = int(buckets[-lo + 1])
    heads, tags = document.allowed.shape[0], len(TAGS)
    shape = (heads, tags, tags, len(edges), 2)
    allowed = torch.zeros(shape, dtype=torch.bool, device="cpu")
    allowed[..., first, :] = True
    strength = document.strength[..., None, None].expand(shape).clone()
    for table in bounded:
        for cells in _reached(table, edges):
            allowed[cells] |= table.allowed[..., None, None]
            strength[cells] = torch.maximum(strength[cells], table.strength[..., None, None])
    strength.masked_fill_(strength.isneginf(), 0.0)
    base = document.strength.masked_fill(document.strength.isneginf(), 0.0)
    above = (strength - base[..., None, None]).double()
    # The first read gave exp(base), so the second gives exp(strength) - exp(base).
    extra_bias = torch.where(above > 0, strength + torch.log(-torch.expm1(-above)), -torch.inf).float()
    numbers = set(strength.flatten().tolist()) - {0.0}
    return PairLookup(
        allowed=pack_heads((allowed | document.allowed[..., None, None]).reshape(heads, -1)),
        document=document.allowed,
        document_bits=pack_heads(document.allowed.flatten(1)).view(-1, tags, tags),
        bounded=pack_heads((allowed & ~document.allowed[..., None, None]).reshape(heads, -1)),
        base=base,
        extra_bias=extra_bias.reshape(heads, -1),
        strength=strength.reshape(heads, -1),
        numbered=pack_heads(strength.reshape(heads, -1) != 0) if heads > 1 and len(numbers) <= 1 else None,
        number=max(numbers, default=0.0),
        lowers=bool((above < 0).any()),
        edges=tuple(edges),
        buckets=(buckets * 2).int(),
        lo=lo,
        hi=hi,
        by_sentence=any(table.reach.kind == "sentence" for table in bounded),
        has_bounded=bool(bounded),
    )


def _reached(table: ReachTables, edges: Sequence[int]) -> list[tuple[EllipsisType | slice, ...]]:
    """Return, as indices of (heads, tags, tags, buckets, sentence), the cells that a bounded reach covers."""
    if table.reach.kind == "sentence":
        return [(..., slice(1, 2))]
    first, beyond = edges.index(table.reach.lo) + 1, edges.index(table.reach.hi + 1) + 1
    return [(..., slice(first, beyond), slice(None))]


def take_cells(table: Tensor, index: Tensor) -> Tensor:
    """Look up cells (stack, queries, keys) in a table (heads, cells): (stack, heads, queries, keys)."""
    flat = index.reshape(-1)
    rows = [row.index_select(0, flat) for row in table]
    cells = torch.stack(rows) if len(rows) > 1 else rows[0]
    return cells.view(len(table), *index.shape).transpose(0, 1)
