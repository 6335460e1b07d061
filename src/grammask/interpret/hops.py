"""How many reads lie between a word and [CLS], which the classifier reads."""

from collections.abc import Sequence

import torch
from torch import Tensor


def hops_to(target: int, reads: Sequence[Tensor]) -> list[int | None]:
    """Return for each token the fewest reads by which it gets to token `target`, None where it cannot.

    `reads` has a bool (length, length) for each layer, from the first: whether a query reads a key there, in any head.
    A token keeps what it knows from layer to layer without a read.
    """
    length = reads[0].shape[0]
    far = torch.iinfo(torch.int32).max // 2
    hops = torch.full((length,), far, dtype=torch.int32)
    hops[target] = 0
    for layer in reversed(reads):
        onwards = hops[:, None].masked_fill(~layer, far).min(0).values + 1
        hops = torch.minimum(hops, onwards)
    return [None if number >= far else number for number in hops.tolist()]
