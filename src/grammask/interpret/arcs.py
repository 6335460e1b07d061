"""The pairs of words that carry most attention, and the heads in which they do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

_MOST: Final[int] = 80  # arcs of a text: nobody can follow more
_PER_HEAD: Final[int] = 6
_PER_SOURCE: Final[int] = 20  # so that sinks, which take half of all attention, leave room for rules


@dataclass(frozen=True)
class Arc:
    """A query position that reads a key position by a source.

    `heads` holds (layer, head, share of the query's attention there).
    """

    query: int
    key: int
    source: int
    heads: tuple[tuple[int, int, float], ...]

    @property
    def weight(self) -> float:
        """The largest share in any head."""
        return max(share for _, _, share in self.heads)


def strongest_arcs(weights: Tensor, owners: Tensor, *, layers: Sequence[int]) -> list[Arc]:
    """Return the strongest arcs between positions, by weight; the strongest of each source is always among them.

    `weights` (layers, heads, positions, positions) is attention, `owners` of the same shape the source of each pair;
    `layers` says which layers of the model they are.
    """
    size = weights.shape[-1]
    itself = torch.eye(size, dtype=torch.bool)
    others = weights.masked_fill(itself, 0.0).flatten(2)
    values, places = others.topk(min(_PER_HEAD, size * size), dim=-1)
    chosen = torch.zeros_like(others, dtype=torch.bool).scatter_(-1, places, values > 0)
    for source in torch.unique(owners).tolist():
        mine = torch.where(owners.flatten(2) == source, others, 0.0)
        best = int(mine.argmax())
        chosen.view(-1)[best] |= bool(mine.view(-1)[best] > 0) and source >= 0
    found: dict[tuple[int, int, int], list[tuple[int, int, float]]] = {}
    for layer, head, pair in chosen.nonzero().tolist():
        query, key = divmod(pair, size)
        source = int(owners[layer, head, query, key])
        at = (layers[layer], head, float(others[layer, head, pair]))
        found.setdefault((query, key, source), []).append(at)
    arcs = sorted((Arc(*key, tuple(heads)) for key, heads in found.items()), key=lambda arc: -arc.weight)
    return _thinned(arcs)


def _thinned(arcs: list[Arc]) -> list[Arc]:
    """Keep the strongest arc of every source, and others by weight while there is room."""
    firsts = {arc.source: arc for arc in reversed(arcs)}
    counts: dict[int, int] = {}
    kept = []
    room = _MOST - len(firsts)
    for arc in arcs:
        counts[arc.source] = counts.get(arc.source, 0) + 1
        if arc is firsts[arc.source]:
            kept.append(arc)
        elif counts[arc.source] <= _PER_SOURCE and room > 0:
            kept.append(arc)
            room -= 1
    return kept


def mass_by_source(weights: Tensor, owners: Tensor, sources: int) -> tuple[float, ...]:
    """Return the share of a layer's attention that each source carries (sources,): a mean over heads and queries.

    `weights` and `owners` are (heads, length, length) over tokens.
    """
    flat = owners.flatten().long()
    total = torch.bincount(flat[flat >= 0], weights=weights.flatten().double()[flat >= 0], minlength=sources)
    return tuple((total / (weights.shape[0] * weights.shape[1])).tolist())
