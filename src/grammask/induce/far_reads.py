"""What a head of a causal model may read: a near or a wide window, far names and numbers besides, or everything."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..grammar.tags import NAMES, TAG_IDS

SINK_TOKENS: Final[int] = 4  # at the beginning of each text, read by all
READ_NAMES: Final[tuple[str, ...]] = ("near", "near_names", "wide", "wide_names", "everything")  # in records
READS: Final[int] = len(READ_NAMES)
NEAR, NEAR_NAMED, WIDE, WIDE_NAMED, FULL = range(READS)
NAMED: Final[tuple[int, ...]] = (NEAR_NAMED, WIDE_NAMED)
WIDER: Final[tuple[int, ...]] = (WIDE, WIDE_NAMED)

Choice = NDArray[np.int64]  # (layers, heads): one of the reads


@dataclass(frozen=True)
class Windows:
    """How many words back heads read: those that read `near`, and those that read `wide`."""

    near: int
    wide: int

    def of(self, read: int) -> int:
        """Return the window of a read other than everything, in words."""
        return self.wide if read in WIDER else self.near


def is_name(tag_ids: Tensor) -> Tensor:
    """Tell which tokens belong to names and numbers."""
    return torch.isin(tag_ids, torch.tensor([TAG_IDS[name] for name in NAMES], device=tag_ids.device))


def masks_of_reads(tag_ids: Tensor, word_ids: Tensor, windows: Windows, first: int) -> Tensor:
    """Return which keys the tokens from `first` on read, bool (reads, queries, keys); the ids are (length,).

    A token of no word stands where the word before it stands.
    """
    places = word_ids.cummax(0).values.clamp(min=0)
    tokens = torch.arange(len(word_ids), device=word_ids.device)
    earlier = tokens <= tokens[first:, None]
    back = places[first:, None] - places
    masks = []
    for read in range(FULL):
        reached = (back <= windows.of(read)) | (tokens < SINK_TOKENS)
        masks.append(earlier & (reached | is_name(tag_ids) if read in NAMED else reached))
    return torch.stack([*masks, earlier])
