"""Document reach, hard: sorted by tag, a tag x tag table is a few exact rectangles. Few need a mask.

Queries whose tags read the same keys form one block. The keys are sorted by tag in an order that makes most key sets
contiguous, so that a block's keys are a slice, not a copy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from .block import Block, BlockGroup
from .text import Text

# What starting a block costs, in pairs that could be computed meanwhile: small groups share a masked block.
_START: Final[int] = 600
# About how often each tag occurs in English, in the order of TAGS; only the speed depends on it.
FREQUENCY: Final = np.array(
    [8, 10, 6, 6, 4, 10, 1, 18, 2, 3, 7, 6, 12, 2, 1, 11, 1, 1, 1, 0, 1], dtype=np.float64
) / 100  # fmt: skip


def sorted_blocks(
    table: NDArray[np.bool_], text: Text, without: NDArray[np.bool_], heads: torch.Tensor | None, *, accumulates: bool
) -> list[BlockGroup]:
    """Return the blocks of one table (tags, tags) over one text, but for the keys that are marked in `without`."""
    groups = []
    # Queries that read whatever is read at all need no sorting; [CLS] is often the only one.
    of_all = np.any(table, axis=1) & np.all(table[:, np.any(table, axis=0)], axis=1)
    for chosen, by_tag in ((of_all, False), (~of_all, True)):
        blocks, rows, keys = _blocks(table & chosen[:, None], text, without, by_tag=by_tag)
        if blocks:
            groups.append(
                BlockGroup(
                    text=text.number,
                    rows=text.rows(rows),
                    keys=text.keys(keys),
                    blocks=blocks,
                    heads=heads,
                    accumulates=accumulates,
                )
            )
    return groups


@lru_cache(maxsize=256)
def key_order(table: bytes, tags: int) -> NDArray[np.int8]:
    """Return the rank of every key tag in an order that makes large key sets contiguous, as a local search finds it.

    Starting from tags with equal readers side by side, single tags are moved while that lowers the keys to copy.
    """
    sets = np.unique(np.frombuffer(table, dtype=np.bool_).reshape(tags, tags), axis=0)
    weights = sets @ FREQUENCY
    order = np.lexsort(sets).tolist()

    def copied(candidate: list[int]) -> float:
        inside = sets[:, candidate]
        runs = inside[:, 0] + (inside[:, 1:] > inside[:, :-1]).sum(1)
        # Runs beyond the second count a little, so that a step towards a contiguous set is seen as one.
        return float(weights @ ((runs > 1) + 0.01 * runs))

    best, improved = copied(order), True
    while improved:
        improved = False
        for tag in range(tags):
            rest = [other for other in order if other != tag]
            for place in range(tags):
                candidate = [*rest[:place], tag, *rest[place:]]
                if (cost := copied(candidate)) < best - 1e-9:
                    best, order, improved = cost, candidate, True
    rank = np.empty(tags, dtype=np.int8)
    rank[order] = np.arange(tags, dtype=np.int8)
    return rank


def _blocks(
    table: NDArray[np.bool_], text: Text, without: NDArray[np.bool_], *, by_tag: bool
) -> tuple[tuple[Block, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Return the blocks, and the queries and the keys (tokens,) that they count among.

    Without `by_tag` the keys stay in the order of the text: only for a table whose queries all read the same keys.
    """
    tags = text.tags
    rows = np.flatnonzero(np.any(table, axis=1)[tags[text.first :]]) + text.first
    keys = np.flatnonzero(np.any(table, axis=0)[tags] & ~without)
    if len(rows) == 0 or len(keys) == 0:
        return (), rows, keys
    if not by_tag:
        return (Block(rows=slice(0, len(rows)), keys=slice(0, len(keys)), pairs=len(rows) * len(keys)),), rows, keys
    rank = key_order(table.tobytes(), len(table))
    keys = keys[np.argsort(rank[tags[keys]], kind="stable")]
    key_runs = _Runs.of(tags[keys])
    rows = rows[np.argsort(tags[rows], kind="stable")]
    row_runs = _Runs.of(tags[rows])
    allowed = table[row_runs.tags][:, key_runs.tags]
    blocks: list[Block] = []
    order: list[NDArray[np.int64]] = []
    done = 0
    for places, readable in _tag_groups(allowed, row_runs.sizes, key_runs.sizes):
        order += [rows[row_runs.starts[place] : row_runs.starts[place] + row_runs.sizes[place]] for place in places]
        count = sum(row_runs.sizes[place] for place in places)
        reads = [row_runs.sizes[place] for place in places], [key_runs.sizes[place] for place in readable]
        mask = None
        if not (pairs := allowed[places][:, readable]).all():
            mask = torch.from_numpy(pairs.repeat(reads[0], axis=0).repeat(reads[1], axis=1))[None, None]
        blocks.append(
            Block(
                rows=slice(done, done + count),
                keys=key_runs.positions(readable),
                pairs=count * sum(reads[1]),
                bias=mask,
            )
        )
        done += count
    return tuple(blocks), np.concatenate(order), keys


@dataclass(frozen=True, eq=False)
class _Runs:
    """Tokens sorted by tag: the tags that occur, where their runs start, and how long they are."""

    tags: NDArray[np.int64]
    starts: list[int]
    sizes: list[int]

    @classmethod
    def of(cls, in_order: NDArray[np.int64]) -> "_Runs":
        starts = np.flatnonzero(np.diff(in_order, prepend=-1))
        return cls(in_order[starts], starts.tolist(), np.diff(starts, append=len(in_order)).tolist())

    def positions(self, places: list[int]) -> slice | torch.Tensor:
        """Return the tokens of some runs, ascending: a slice when the runs are neighbours."""
        ends = [self.starts[place] + self.sizes[place] for place in places]
        if places[-1] - places[0] + 1 == len(places):
            return slice(self.starts[places[0]], ends[-1])
        runs = [np.arange(self.starts[place], end) for place, end in zip(places, ends, strict=True)]
        return torch.from_numpy(np.concatenate(runs))


def _tag_groups(
    allowed: NDArray[np.bool_], row_sizes: Sequence[int], key_sizes: Sequence[int]
) -> list[tuple[list[int], list[int]]]:
    """Return groups of query tags, and the key tags that any tag of the group reads, ascending.

    Tags with equal key sets share a group, and so do groups so small that a mask costs less than another start.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, readable in enumerate(allowed):
        alike.setdefault(tuple(readable.nonzero()[0].tolist()), []).append(place)

    def count(places: Iterable[int], sizes: Sequence[int]) -> int:
        return sum(sizes[place] for place in places)

    by_pairs = sorted(alike.items(), key=lambda group: count(group[0], key_sizes) * count(group[1], row_sizes))
    small: list[int] = []
    union: set[int] = set()
    pairs = 0
    groups = []
    for readable, places in by_pairs:
        joined = count(small + places, row_sizes) * count(union.union(readable), key_sizes)
        if joined - pairs - count(places, row_sizes) * count(readable, key_sizes) <= _START:
            small, union, pairs = small + places, union.union(readable), joined
        else:
            groups.append((places, list(readable)))
    return [(small, sorted(union)), *groups]
