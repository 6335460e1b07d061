"""What the query heads that share a key-value head read: compiled once for a model, for each distinct pattern.

A cell is (pattern, query tag, kind of key, stretch of word offsets). Kinds of keys are the tags, and two more: what
nobody reads, and what everybody reads. One look-up answers for all layers at once, the heads of a pattern in bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ...grammar.caching import cache_outside_modes
from ...grammar.masks import first_tokens
from ...grammar.tables import ReachTables
from ...grammar.tags import NEW, PAD, TAGS, UPOS
from ..blocks.head_bits import pack_heads

NOBODY: Final[int] = len(TAGS)
EVERYBODY: Final[int] = len(TAGS) + 1
_KINDS: Final[int] = len(TAGS) + 2
# Tags of tokens that follow, as in `later_keys`. Grammars let structural ones read all there is: for them nothing could
# be let go.
_LATER: Final[list[int]] = [*range(len(UPOS)), NEW]
_ALWAYS: Final[int] = -(1 << 30)  # an offset that no word is before
_NEVER: Final[int] = 1 << 30


@dataclass(frozen=True, eq=False)
class Patterns:
    """The patterns of a model.

    `of` (layers, key-value heads) is the pattern of each key-value head, `heads` how many query heads share one.
    `cells` (words, patterns * tags * kinds * `width`) is what they read, in bits, see `head_bits`; `stretches`
    (offsets,) the stretch, of `width`, of each offset from `lo` - 1 to `hi` + 1. A later token reads no key before
    `nearest` (patterns, kinds), a word offset. `reads_more` (tags,) tells which tags do.
    """

    of: tuple[tuple[int, ...], ...]
    heads: int
    cells: Tensor
    stretches: Tensor
    lo: int
    hi: int
    width: int
    nearest: Tensor
    reads_more: Tensor

    def to(self, device: torch.device) -> "Patterns":
        """Return the patterns on another device."""
        if self.cells.device == device:
            return self
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    @property
    def cells_each(self) -> int:
        """How many cells a pattern has."""
        return len(TAGS) * _KINDS * self.width

    def bits(self, first_cells: Tensor, words: Tensor, query_tags: Tensor, query_words: Tensor) -> Tensor:
        """Return what queries (batch, queries) read of keys (batch, keys), in bits: (batch, words, queries, keys).

        The first cell of a key is that of its pattern and kind, for the first query tag and stretch.
        """
        offset = words[:, None] - query_words[..., None]
        offset.clamp_(self.lo - 1, self.hi + 1).sub_(self.lo - 1)
        cell = self.stretches.index_select(0, offset.view(-1)).view_as(offset)
        cell += first_cells[:, None]
        cell += (query_tags * (_KINDS * self.width))[..., None]
        flat = cell.view(-1)
        return torch.stack([word.index_select(0, flat).view_as(cell) for word in self.cells], 1)


def kinds_of(tag_ids: Tensor, sink_tokens: int) -> Tensor:
    """Return the kind of each token as a key: int32 (batch, length)."""
    kinds = tag_ids.int().masked_fill_(tag_ids == PAD, NOBODY)
    return kinds.masked_fill_(first_tokens(tag_ids, sink_tokens), EVERYBODY) if sink_tokens else kinds


@cache_outside_modes
def compile_patterns(layers: tuple[tuple[ReachTables, ...], ...], heads: int, key_heads: int) -> Patterns:
    """Compile the tables of all layers, without sentence reach; layers with equal tables hold the same object."""
    words = {table.reach for tables in layers for table in tables if table.reach.kind == "words"}
    edges = sorted({0, 1, *(edge for reach in words for edge in (reach.lo, reach.hi + 1))})
    lo, hi = edges[0], edges[-1] - 1
    stretches = torch.from_numpy(np.searchsorted(edges, np.arange(lo - 1, hi + 2), side="right")).int()
    share, found = heads // key_heads, dict[bytes, tuple[int, Tensor]]()
    of_tables: dict[int, tuple[int, ...]] = {}
    for tables in layers:
        if id(tables) not in of_tables:
            allowed = _allowed(tables, edges).expand(heads, -1, -1, -1)
            of_tables[id(tables)] = tuple(
                found.setdefault(part.numpy().tobytes(), (len(found), part))[0] for part in torch.split(allowed, share)
            )
    patterns = torch.stack([part for _, part in found.values()])
    read = patterns[:, :, _LATER].any(2).any(1)  # patterns, kinds, stretches
    nearest = _nearest(read, edges)
    return Patterns(
        of=tuple(of_tables[id(tables)] for tables in layers),
        heads=share,
        cells=pack_heads(patterns.transpose(0, 1).flatten(1)),
        stretches=stretches,
        lo=lo,
        hi=hi,
        width=len(edges) + 1,
        nearest=nearest,
        reads_more=(patterns & ~_from(nearest, edges)[:, None, None]).any(-1).any(-1).any(1).any(0),
    )


def _allowed(tables: Sequence[ReachTables], edges: Sequence[int]) -> Tensor:
    """Return what a layer's heads read: bool (heads or 1, tags, kinds, stretches); beyond all edges by document."""
    document = tables[0].allowed
    shape = (*document.shape[:2], _KINDS, len(edges) + 1)
    allowed = torch.zeros(shape, dtype=torch.bool, device="cpu")
    of_tags = allowed[:, :, : len(TAGS)]
    of_tags |= document[..., None]
    of_tags[..., edges.index(0) + 1] = True  # its own word
    for table in tables[1:]:
        of_tags[..., edges.index(table.reach.lo) + 1 : edges.index(table.reach.hi + 1) + 1] |= table.allowed[..., None]
    of_tags[:, :, PAD] = False
    allowed[:, :, EVERYBODY] = True
    return allowed


def _nearest(read: Tensor, edges: Sequence[int]) -> Tensor:
    """Return the word offset from which on each kind (patterns, kinds, stretches) is read, however far behind."""
    first = read[..., 1:-1].int().argmax(-1)
    nearest = torch.tensor(edges, dtype=torch.int32, device="cpu")[first]
    # The last stretch is that of tokens without a word, too: what document reach allows.
    nearest = nearest.masked_fill(~read[..., 1:-1].any(-1), _NEVER).masked_fill(read[..., -1], _ALWAYS)
    nearest[:, NEW] = _ALWAYS  # until it gets its tag
    return nearest


def _from(nearest: Tensor, edges: Sequence[int]) -> Tensor:
    """Return the stretches that are kept: bool (patterns, kinds, stretches)."""
    begins = torch.tensor([_ALWAYS, *edges], dtype=torch.int32, device="cpu")
    kept = begins >= nearest[..., None]
    kept[..., -1] = nearest == _ALWAYS
    return kept
