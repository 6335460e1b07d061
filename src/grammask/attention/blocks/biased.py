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
from torch import Tensor

from .block import Block, BlockGroup
from .limited import Rectangle, limited_blocks, whole_blocks
from .lookup import PairLookup, take_cells
from .text import Text, occurring_tags

TILE: Final[int] = 128  # queries whose bias over all keys is made explicit at a time
_FEW: Final[int] = 192  # queries, below which the fused kernel takes 32 at a time instead of 64
_SMALL: Final[int] = 1 << 18  # cells of a bias that stays in the processor's cache: 1 MiB in float32


def tag_bias_blocks(lookup: PairLookup, text: Text, *, learned: bool, start: int) -> list[BlockGroup]:
    """Return the blocks of one text that read all keys, each at its strength for any distance.

    With `learned`, strengths are looked up in a table that the call brings: one block for each query tag.
    """
    rectangles = []
    for of_tags in _tags_by_bias(lookup, text, learned=learned):
        bias = lookup.base[:, of_tags[:1]][..., text.tags]
        rectangles.append(
            Rectangle(
                rows=text.queries_of(of_tags),
                keys=np.arange(len(text)),
                bias=bias if not learned and bool(bias.any()) else None,
                table_row=of_tags[0] if learned else None,
            )
        )
    if text.is_free:
        return [whole_blocks(text, _joined(lookup, text, rectangles))]
    return [limited_blocks(text, rectangle, accumulates=False, start=start) for rectangle in rectangles]


def _tags_by_bias(lookup: PairLookup, text: Text, *, learned: bool) -> list[list[int]]:
    """Return the tags of the text's queries, those with equal biases together, or each by itself if `learned`."""
    base = lookup.base.numpy()  # (heads, tags, tags)
    alike: dict[bytes, list[int]] = {}
    for tag in occurring_tags(text.tags[text.first :]):
        alike.setdefault(bytes([tag]) if learned else base[:, tag].tobytes(), []).append(int(tag))
    return list(alike.values())


def _joined(lookup: PairLookup, text: Text, rectangles: list[Rectangle]) -> list[Rectangle]:
    """Join rectangles of few queries, whose bias is written out then: the fused kernel takes more queries at a time."""
    few = [one for one in rectangles if one.bias is not None and len(one.rows) < _FEW]
    rows = np.sort(np.concatenate([one.rows for one in few])) if few else np.zeros(0, dtype=np.int64)
    if len(few) < 2 or lookup.heads * len(rows) * len(text) > _SMALL:
        return rectangles
    bias = lookup.base[:, text.tags[rows]][..., text.tags]
    joined = Rectangle(rows=rows, keys=few[0].keys, bias=bias)
    return [*(one for one in rectangles if one not in few), joined]


def explicit_bias_blocks(lookup: PairLookup, text: Text) -> BlockGroup:
    """Return the blocks of one text that read all keys at their full strengths, a few queries at a time."""
    blocks = []
    for start in range(text.first, len(text), TILE):
        rows = slice(start, min(start + TILE, len(text)))
        keys = slice(int(text.opens[rows.start]), int(text.closes[rows.stop - 1]))
        blocks.append(
            Block(
                rows=slice(rows.start - text.first, rows.stop - text.first),
                keys=keys,
                pairs=(rows.stop - rows.start) * (keys.stop - keys.start),
                bias=partial(_explicit_bias, lookup, text, rows, keys),
            )
        )
    every = np.arange(len(text))
    return BlockGroup(
        text=text.number, rows=text.rows(every[text.first :]), keys=text.keys(every), blocks=tuple(blocks)
    )


def _explicit_bias(lookup: PairLookup, text: Text, rows: slice, keys: slice) -> Tensor:
    bias = take_cells(lookup.strength, lookup.index(text.annotated.at(rows), text.annotated.at(keys))[None])
    if text.is_free:
        return bias
    within = text.within(np.arange(rows.start, rows.stop), np.arange(keys.start, keys.stop))
    return bias.masked_fill(~torch.from_numpy(within), -torch.inf)
