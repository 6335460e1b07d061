"""Document reach, hard: sorted by tag, a tag x tag table is a few exact rectangles. Few need a mask.

Queries whose tags read the same keys form one block. The keys are sorted by tag in an order that makes most key sets
contiguous, so that a block's keys are a slice, not a copy.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from .block import Block, BlockGroup, as_bias, as_slice
from .text import Text, occurring_tags, tag_mask

# What starting a block costs, in pairs that could be computed meanwhile: groups that waste no more by it share a block.
START: Final[int] = 1024
# About how often each tag occurs in English, in the order of TAGS; only the speed depends on it.
FREQUENCY: Final = np.array(
    [8, 10, 6, 6, 4, 10, 1, 18, 2, 3, 7, 6, 12, 2, 1, 11, 1, 1, 1, 0, 1, 0], dtype=np.float64
) / 100  # fmt: skip
_APART: Final[int] = 4  # keys whose copies cost as much as a group of blocks: START over this


def sorted_blocks(
    table: NDArray[np.bool_], text: Text, without: NDArray[np.bool_], heads: torch.Tensor | None, *, accumulates: bool,
    start: int,
) -> list[BlockGroup]:  # fmt: skip
    """Return the blocks of one table (tags, tags) over one text, but for the keys that are marked in `without`.

    `start` is what starting a block costs, in pairs.
    """
    readers, readable = tag_mask(occurring_tags(text.tags[text.first :])), tag_mask(occurring_tags(text.tags[~without]))
    here = table & readers[:, None] & readable
    sets = [
        [tag for tag in of_tags if here[tag].any()] for of_tags in tag_groups(table.tobytes(), _about(len(text)), start)
    ]
    return [
        _group(here, [of_tags for of_tags in some if of_tags], rank=key_order(table.tobytes(), len(table)), text=text,
               without=without, heads=heads, accumulates=accumulates)
        for some in _apart(here, sets, text, without, start)
        if any(some)
    ]  # fmt: skip


def _about(length: int) -> int:
    """Return a length near this one, of few that there are: what hangs on it is worked out once for each."""
    return round(math.exp2(round(2 * math.log2(length)) / 2))


def _apart(
    here: NDArray[np.bool_], sets: list[list[int]], text: Text, without: NDArray[np.bool_], start: int
) -> list[list[list[int]]]:
    """Return lists of tag groups that share an order of keys.

    Queries that read whatever is read at all, often [CLS] alone, need no order. They are set apart where the others
    read so much less that copying keys for them would cost more.
    """
    every = here.any(0)
    of_all = [of_tags for of_tags in sets if of_tags and bool(here[of_tags][:, every].all())]
    rest = [of_tags for of_tags in sets if of_tags and of_tags not in of_all]
    if not of_all or not rest:
        return [of_all or rest]
    read = np.logical_or.reduce(here[[tag for of_tags in rest for tag in of_tags]], axis=0)
    spared = int((every & ~read)[text.tags[~without]].sum())
    return [of_all, rest] if spared > start / _APART else [[*of_all, *rest]]


def _group(
    here: NDArray[np.bool_], sets: list[list[int]], *, rank: NDArray[np.int8], text: Text, without: NDArray[np.bool_],
    heads: torch.Tensor | None, accumulates: bool,
) -> BlockGroup:  # fmt: skip
    """Return the blocks of some tag groups; keys are sorted by tag where the groups read different ones."""
    tags = text.tags
    is_read = [np.logical_or.reduce(here[of_tags], axis=0) for of_tags in sets]
    keys = np.flatnonzero(np.logical_or.reduce(is_read)[tags] & ~without)
    if len(sets) > 1:
        keys = keys[np.argsort(rank[tags[keys]], kind="stable")]
    key_tags, blocks, rows, done = tags[keys], [], [], 0
    for of_tags, reads in zip(sets, is_read, strict=True):
        some = text.queries_of(of_tags)
        chosen = np.flatnonzero(reads[key_tags])
        bias = None
        if not here[of_tags][:, reads].all():
            bias = as_bias(torch.from_numpy(here[tags[some]][:, key_tags[chosen]]))[None, None]
        blocks.append(Block(slice(done, done + len(some)), as_slice(chosen), len(some) * len(chosen), bias=bias))
        rows.append(some)
        done += len(some)
    return BlockGroup(
        text=text.number,
        rows=text.rows(np.concatenate(rows)),
        keys=text.keys(keys),
        blocks=tuple(blocks),
        heads=heads,
        accumulates=accumulates,
    )


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


@lru_cache(maxsize=1024)
def tag_groups(table: bytes, length: int, start: int) -> list[list[int]]:
    """Return groups of query tags (tags, ids) that share a block in a text of about this length.

    Tags with equal key sets share one, and so do groups that waste no more pairs together than another start costs.
    """
    tags = math.isqrt(len(table))
    read = np.frombuffer(table, dtype=np.bool_).reshape(tags, tags)
    alike: dict[bytes, list[int]] = {}
    for tag in np.flatnonzero(read.any(1)):
        alike.setdefault(read[tag].tobytes(), []).append(int(tag))
    groups = list(alike.values())
    sizes = FREQUENCY * length
    sets, rows = read[[of_tags[0] for of_tags in groups]], np.array([sizes[of_tags].sum() for of_tags in groups])
    while len(groups) > 1:
        pairs = rows * (sets @ sizes)
        waste = (rows[:, None] + rows) * ((sets[:, None] | sets) @ sizes) - pairs[:, None] - pairs
        np.fill_diagonal(waste, np.inf)
        one, other = sorted(divmod(int(waste.argmin()), len(groups)))
        if waste[one, other] > start:
            break
        groups[one] += groups.pop(other)
        sets[one] |= sets[other]
        rows[one] += rows[other]
        sets, rows = np.delete(sets, other, 0), np.delete(rows, other)
    return groups
