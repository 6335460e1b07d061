"""Document reach, hard: the blocks of each distinct table, sorted by tag where all of a text may be read.

Under causality or a wide window of the model's own the queries of one key set stay in reading order.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from .block import BlockGroup
from .limited import Rectangle, limited_blocks
from .lookup import PairLookup
from .sorted import sorted_blocks
from .text import Text, occurring_tags, tag_mask


def document_blocks(
    lookup: PairLookup, text: Text, *, without: NDArray[np.bool_], accumulates: bool, start: int
) -> list[BlockGroup]:
    """Return the blocks of one text: what document reach allows, but for the keys that are marked in `without`.

    `without` is (tokens,). Heads with equal tables share a group. `start` is what starting a block costs, in pairs.
    """
    if text.is_free:
        return [
            group
            for table, heads in _by_table(lookup)
            for group in sorted_blocks(table, text, without, heads, accumulates=accumulates, start=start)
        ]
    rectangles = rectangles_of(lookup, text, ~without, np.zeros_like(without))
    return [limited_blocks(text, some, accumulates=accumulates, start=start) for some in rectangles]


def rectangles_of(
    lookup: PairLookup, text: Text, readable: NDArray[np.bool_], read_by_all: NDArray[np.bool_]
) -> list[Rectangle]:
    """Return the queries of each key set with its keys, both in reading order, for heads with equal tables together.

    Keys are those that are marked in `readable`, as far as document reach allows, and in `read_by_all` (tokens,).
    """
    keys = tag_mask(occurring_tags(text.tags[readable]))
    return [
        rectangle
        for table, heads in _by_table(lookup)
        for rectangle in _rectangles(table & keys, text, readable, read_by_all, heads)
    ]


def _by_table(lookup: PairLookup) -> list[tuple[NDArray[np.bool_], torch.Tensor | None]]:
    """Return the distinct tables (tags, tags) and the heads that have them; None for all."""
    tables = lookup.document.numpy()
    heads: dict[bytes, list[int]] = {}
    for head, table in enumerate(tables):
        heads.setdefault(table.tobytes(), []).append(head)
    if len(heads) == 1:
        return [(tables[0], None)]
    return [(tables[which[0]], torch.tensor(which, dtype=torch.int64, device="cpu")) for which in heads.values()]


def _rectangles(
    table: NDArray[np.bool_], text: Text, readable: NDArray[np.bool_], read_by_all: NDArray[np.bool_],
    heads: torch.Tensor | None,
) -> list[Rectangle]:  # fmt: skip
    alike: dict[bytes, list[int]] = {}
    for tag in occurring_tags(text.tags[text.first :]):
        alike.setdefault(table[tag].tobytes(), []).append(int(tag))
    rectangles = [
        Rectangle(
            rows=text.queries_of(of_tags),
            keys=np.flatnonzero(table[of_tags[0]][text.tags] & readable | read_by_all),
            heads=heads,
        )
        for of_tags in alike.values()
    ]
    return [rectangle for rectangle in rectangles if len(rectangle.keys)]
