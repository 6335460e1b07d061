"""Wide bounded reach beside document reach, under a mask of positions of the model's own.

Columns beside wide windows would need copies of them, so sinks and structural tokens are read with document reach.
Where one key set is that of most queries, neighbours all, their band holds all that they may read in its windows: what
lies before and behind a window is then a rectangle that needs no mask at the window's side.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .banded import banded_blocks
from .bands import NO_TAGS, beside_document
from .block import BlockGroup
from .document import rectangles_of
from .limited import Rectangle, limited_blocks
from .lookup import PairLookup
from .text import Text, occurring_tags, tag_mask


def wide_blocks(lookup: PairLookup, text: Text, sinks: NDArray[np.bool_], start: int) -> list[BlockGroup]:
    """Return the hard blocks of one text; `sinks` (tokens,) are read by all, `start` is as in `Plan`."""
    rectangles = rectangles_of(lookup, text, np.ones_like(sinks), sinks)
    even = [rectangle for rectangle in rectangles if _is_even(text, rectangle)][:1]
    inside = tag_mask(occurring_tags(text.tags[even[0].rows])) if even else NO_TAGS
    band = banded_blocks(lookup, text, beside_document(lookup, text, sinks, inside), accumulates=False, start=start)
    groups = [band]
    for rectangle in rectangles:
        if rectangle in even:
            groups += _beyond(text, rectangle, band, start)
        else:
            groups.append(limited_blocks(text, rectangle, accumulates=True, start=start))
    return groups


def _is_even(text: Text, rectangle: Rectangle) -> bool:
    """Tell whether a rectangle is that of all heads and of most queries, neighbours all."""
    most = 2 * len(rectangle.rows) > len(text) - text.first
    return most and rectangle.heads is None and isinstance(text.rows(rectangle.rows).positions, slice)


def _beyond(text: Text, rectangle: Rectangle, band: BlockGroup, start: int) -> list[BlockGroup]:
    """Return the blocks of what a rectangle's queries read outside of the windows of a band, which are views."""
    windows = [(block.keys.start, block.keys.stop) for block in band.blocks if isinstance(block.keys, slice)]
    starts = np.array([block.rows.start + text.first for block in band.blocks])
    lengths = [text.first, *(block.rows.stop - block.rows.start for block in band.blocks)]
    opens, closes = (np.repeat([0, *bounds], lengths) for bounds in zip(*windows, strict=True))
    sides = (
        replace(text, closes=np.clip(opens, text.opens, text.closes)),
        replace(text, opens=np.clip(closes, text.opens, text.closes)),
    )
    return [
        limited_blocks(side, rectangle, accumulates=True, start=start, starts=starts)
        for side in sides
        if bool((side.closes > side.opens)[rectangle.rows].any())
    ]
