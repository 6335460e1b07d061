"""The pairs of words that carry most attention, and the heads in which they do."""

from collections.abc import Iterable, Sequence
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


def strongest_arcs(weights: Iterable[Tensor], owners: Iterable[Tensor], *, layers: Sequence[int]) -> list[Arc]:
    """Return the strongest arcs between positions, by weight; of up to 80 sources each has its strongest among them.

    `weights` is attention, and `owners` the source of each pair, each (heads, positions, positions) for each of
    `layers`, which are asked for one after the other.
    """
    found: dict[tuple[int, int, int], list[tuple[int, int, float]]] = {}
    best: dict[int, tuple[float, tuple[int, int, int], tuple[int, int]]] = {}
    for layer, weight, owner in zip(layers, weights, owners, strict=True):
        size = weight.shape[-1]
        others = weight.masked_fill(torch.eye(size, dtype=torch.bool), 0.0).flatten(1)
        sources = owner.flatten(1)
        values, places = others.topk(min(_PER_HEAD, size * size), dim=-1)
        for head, at in (values > 0).nonzero().tolist():
            pair, share = int(places[head, at]), float(values[head, at])
            key = (*divmod(pair, size), int(sources[head, pair]))
            found.setdefault(key, []).append((layer, head, share))
        for source, (head, pair, share) in _strongest(others, sources).items():
            if share > best.get(source, (0.0,))[0]:
                best[source] = share, (*divmod(pair, size), source), (layer, head)
    for share, key, at in best.values():
        heads = found.setdefault(key, [])
        if (*at, share) not in heads:
            heads.append((*at, share))
    return _thinned(
        sorted((Arc(*key, tuple(sorted(heads))) for key, heads in found.items()), key=lambda arc: -arc.weight)
    )


def _strongest(weights: Tensor, owners: Tensor) -> dict[int, tuple[int, int, float]]:
    """Return where each source's strongest pair is, and its weight; both are (heads, pairs)."""
    flat = owners.flatten().long() + 1  # -1 for nobody
    most = torch.zeros(int(flat.max()) + 1, dtype=weights.dtype).scatter_reduce(0, flat, weights.flatten(), "amax")
    is_most = (weights.flatten() == most[flat]) & (weights.flatten() > 0) & (flat > 0)
    places = is_most.nonzero()[:, 0].tolist()
    pairs = weights.shape[1]
    # Backwards, so that the first of equals is left.
    return {
        int(flat[place]) - 1: (*divmod(place, pairs), float(weights.flatten()[place])) for place in reversed(places)
    }


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
    return kept[:_MOST]


def mass_by_source(weights: Tensor, owners: Tensor, sources: int) -> tuple[float, ...]:
    """Return the share of a layer's attention that each source carries (sources,): a mean over heads and queries.

    `weights` and `owners` are (heads, length, length) over tokens.
    """
    flat = owners.flatten().long()
    total = torch.bincount(flat[flat >= 0], weights=weights.flatten().double()[flat >= 0], minlength=sources)
    return tuple((total / (weights.shape[0] * weights.shape[1])).tolist())
