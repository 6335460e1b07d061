"""Texts with words erased: what is left moves together, as if they had never been there."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..tagging.overlap import NO_WORD

Row = dict[str, Tensor]


def erase(inputs: Mapping[str, Tensor], words: Sequence[int]) -> Row:
    """Return a text (1, length) without the subwords of these words, numbered anew: each tensor (length,).

    The words that are left keep their tags, which the tagger saw in the whole text.
    """
    word_ids = inputs["word_ids"][0]
    kept = ~torch.isin(word_ids, torch.tensor(list(words), dtype=word_ids.dtype))
    left = {name: values[0][kept] for name, values in inputs.items()}
    numbers = torch.unique(left["word_ids"][left["word_ids"] != NO_WORD])
    renumbered = torch.searchsorted(numbers, left["word_ids"])
    left["word_ids"] = torch.where(left["word_ids"] == NO_WORD, NO_WORD, renumbered)
    return left
