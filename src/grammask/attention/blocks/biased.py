"""Soft attention without any n x n tensor.

At any distance a strength depends on the two tags alone. Queries whose tags have the same bias towards every key tag
share a block over all keys. Their bias is a single row, which attention adds to every query: no wider than the text.
What bounded reaches add is a second read of the same pairs: exp(score + strength) = exp(score + base) +
exp(score + extra) with the extra bias log(exp(strength) - exp(base)). So a band with that bias, merged by log-sum-exp,
brings about exactly the full strength.

A bounded strength below its base would need a negative second read. There the bias of every pair is made explicit,
for a few queries at a time.
"""

from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .block import ALL, Block, BlockGroup, TokenIndex
from .lookup import PairLookup, Tokens, occurring_tags, tag_mask, take_cells

TILE: Final[int] = 128  # queries whose bias over all keys is made explicit at a time


def tag_bias_blocks(
    lookup: PairLookup, tags: NDArray[np.int64], *, text: int, positions: NDArray[np.int64], learned: bool
) -> BlockGroup:
    """Return the blocks of one text that read all keys, each at its strength for any distance.

    With `learned`, strengths are looked up in a table that the call brings: one block for each query tag.
    """
    base = lookup.base.numpy()  # (heads, tags, tags)
    tags_by_bias: dict[bytes, list[int]] = {}
    for tag in occurring_tags(tags):
        tags_by_bias.setdefault(bytes([tag]) if learned else base[:, tag].tobytes(), []).append(int(tag))
    blocks = []
    order = []
    done = 0
    for of_tags in tags_by_bias.values():
        rows = np.flatnonzero(tag_mask(of_tags)[tags])
        order.append(rows)
        bias = torch.from_numpy(base[:, of_tags[0]][:, tags])[None, :, None]
        blocks.append(
            Block(
                rows=slice(done, done + len(rows)),
                keys=ALL,
                pairs=len(rows) * len(tags),
                bias=bias if not learned and bool(bias.any()) else None,
                table_row=of_tags[0] if learned else None,
            )
        )
        done += len(rows)
    return BlockGroup(
        text=text,
        rows=TokenIndex.of(positions[np.concatenate(order)]),
        keys=TokenIndex.of(positions),
        blocks=tuple(blocks),
        key_tags=torch.from_numpy(tags) if learned else None,
    )


def explicit_bias_blocks(
    lookup: PairLookup, annotated: Tokens, *, text: int, positions: NDArray[np.int64]
) -> BlockGroup:
    """Return the blocks of one text that read all keys at their full strengths, a few queries at a time."""
    length = len(annotated.tags)
    blocks = []
    for start in range(0, length, TILE):
        rows = slice(start, min(start + TILE, length))
        blocks.append(
            Block(
                rows=rows,
                keys=ALL,
                pairs=(rows.stop - rows.start) * length,
                bias=partial(_explicit_bias, lookup, annotated, rows),
            )
        )
    here = TokenIndex.of(positions)
    return BlockGroup(text=text, rows=here, keys=here, blocks=tuple(blocks))


def _explicit_bias(lookup: PairLookup, annotated: Tokens, rows: slice) -> Tensor:
    return take_cells(lookup.strength, lookup.index(annotated.at(rows), annotated)[None])
