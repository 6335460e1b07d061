"""What the attention of one text says of its sources, layer by layer: nothing is kept that is as large as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ..errors import ExplainError
from .arcs import Arc, mass_by_source, strongest_arcs
from .importance import carried_by_source
from .sources import Owners
from .word_positions import Positions

MOST_PAIRS: Final[int] = 1 << 28  # of the attention of one text, in all layers and heads: a GiB in float32


@dataclass(frozen=True, eq=False)
class ReadAttention:
    """Whom a text's tokens read, and by which source.

    `mass` is (layers shown, sources). `carried` (sources, length) is the attention that tokens get by each source in
    all layers. `reads` has a bool (length, length) for each layer: who reads whom in any head.
    """

    mass: tuple[tuple[float, ...], ...]
    arcs: tuple[Arc, ...]
    carried: Tensor
    reads: list[Tensor]


def read_attention(
    weights: Sequence[Tensor], owners: Owners, positions: Positions, layers: Sequence[int]
) -> ReadAttention:
    """Sum up the attention of one text; `weights` are (1, heads, length, length) for each layer, `layers` are shown."""
    mass: dict[int, tuple[float, ...]] = {}
    carried = torch.zeros(len(owners.sources), weights[0].shape[-1], dtype=torch.float64)
    reads = []
    for layer, (weight,) in enumerate(weights):
        owner = owners.of_layer(layer)
        if layer in layers:
            mass[layer] = mass_by_source(weight.float(), owner, len(owners.sources))
        carried += carried_by_source(weight.float(), owner, len(owners.sources))
        reads.append((weight > 0).any(0))
    first = positions.firsts
    arcs = strongest_arcs(
        (positions.attention(weights[layer][0].float()) for layer in layers),
        (owners.of_layer(layer)[:, first[:, None], first] for layer in layers),
        layers=layers,
    )
    return ReadAttention(tuple(mass[layer] for layer in layers), tuple(arcs), carried, reads)


def check_length(length: int, *, layers: int, heads: int, name: str) -> None:
    """Raise `ExplainError` for a text, called `name`, whose attention is too large to be looked at."""
    most = int((MOST_PAIRS / (layers * heads)) ** 0.5)
    if length > most:
        raise ExplainError(
            f"{name} has {length:,} tokens to read; in {layers} layers of {heads} heads all their pairs are looked at, "
            f"of at most {most:,} tokens: shorten it, or explain a token nearer to its beginning"
        )
