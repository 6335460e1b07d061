"""Which words the answer rests on by the rules that read them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def importance_through_rules(
    weights: Sequence[Tensor], owners: Sequence[Tensor], changes: Mapping[int, float]
) -> Tensor:
    """Return what each token adds to the answer through the rules by which others read it: float64 (length,).

    What a rule is worth, the probability that is lost without it (-`changes`, by its place among the sources), is
    shared out among the tokens that are read by it, in proportion to the attention that it carries to them in all
    layers.
    `weights` and `owners` are (heads, length, length) for each layer.
    """
    length = weights[0].shape[-1]
    found = torch.zeros(length, dtype=torch.float64)
    for place, change in changes.items():
        carried = torch.zeros(length, dtype=torch.float64)
        for weight, owner in zip(weights, owners, strict=True):
            carried += (weight * (owner == place)).sum((0, 1)).double()
        if (total := float(carried.sum())) > 0:
            found -= change * carried / total
    return found
