"""A cache without the keys that a peer scores lowest, of each layer and key-value head as many."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from ..prefill import Prefill, attention_modules

# Scores the keys of a layer: from its number and attention, the states (1, states, hidden) that it attended from last,
# their position embeddings, and its keys and values (1, key heads, length, head_dim), to (1, key heads, length).
Scorer = Callable[[int, nn.Module, Tensor, Any, Tensor, Tensor], Tensor]


def compress(
    prefill: Prefill, score: Scorer, kept: int, *, states: Sequence[Tensor] = (), rotations: Sequence[Any] = ()
) -> DynamicCache:
    """Return a new cache with the `kept` keys of each layer and head that are scored highest, in their order.

    `states` and `rotations` are those of each layer that `score` sees, where they aren't the prefill's.
    """
    compressed = DynamicCache()
    seen, rotated = states or prefill.states, rotations or prefill.rotations
    with torch.no_grad():
        for layer, module in enumerate(attention_modules(prefill.model)):
            cached: Any = prefill.cache.layers[layer]
            keys, values = cached.keys, cached.values
            scores = score(layer, module, seen[layer], rotated[layer], keys, values)
            chosen = scores.topk(kept, dim=-1).indices.sort(-1).values[..., None]
            compressed.update(_gather(keys, chosen), _gather(values, chosen), layer)
    return compressed


def _gather(part: Tensor, chosen: Tensor) -> Tensor:
    return part.gather(2, chosen.expand(-1, -1, -1, part.shape[-1]))


def without_last(cache: DynamicCache) -> None:
    """Take the last key of each layer out of a cache."""
    for layer in cache.layers:
        cached: Any = layer
        cached.keys, cached.values = cached.keys[:, :, :-1], cached.values[:, :, :-1]
