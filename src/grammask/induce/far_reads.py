"""What a head of a causal model may read beyond its window: nothing, names and numbers, or everything."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..grammar.tags import NAMES, TAG_IDS

SINK_TOKENS: Final[int] = 4  # at the beginning of each text, read by all
NEAR, NAMED, FULL = range(3)  # what a head may read, from the least to the most
# Which cells each of them reads, float32 (cells, reads): pairs that are always read, far names, other far words.
READS: Final[Tensor] = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
_ALWAYS, _FAR_NAME, _FAR = range(3)

Choice = NDArray[np.int64]  # (layers, heads): NEAR, NAMED or FULL
Floats = NDArray[np.float64]


def cells_of(tag_ids: Tensor, word_ids: Tensor, window: int) -> Tensor:
    """Return the cell of each pair of one text, int16 (query, key); `tag_ids` and `word_ids` are (length,).

    Far is what stands more than `window` words back. A token of no word stands where the word before it stands.
    """
    places = word_ids.cummax(0).values.clamp(min=0)
    is_near = places[:, None] - places[None, :] <= window
    names = torch.isin(tag_ids, torch.tensor([TAG_IDS[name] for name in NAMES]))
    cells = torch.where(names, _FAR_NAME, _FAR).to(torch.int16).expand(len(tag_ids), -1).clone()
    cells[is_near] = _ALWAYS
    cells[:, :SINK_TOKENS] = _ALWAYS
    return cells
