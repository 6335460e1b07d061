"""The cells that a grammar allows: from rules back to cells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import GrammarError
from ..grammar.grammar import Grammar
from ..grammar.tables import compile_layers
from ..grammar.tags import UPOS
from .cells import FARTHEST, OFFSETS, Cells

_TAGS = len(UPOS)


@dataclass(frozen=True, eq=False)
class Allowed:
    """What each layer and head allows, layers outermost.

    `near` is (groups, tags, tags, offsets), `far` (groups, tags, tags).
    """

    near: NDArray[np.bool_]
    far: NDArray[np.bool_]

    def densities(self, cells: Cells) -> NDArray[np.float64]:
        """Return the word density of each group (groups,)."""
        return np.array([cells.density(near, far) for near, far in zip(self.near, self.far, strict=True)])


def allowed_cells(grammar: Grammar, *, layers: int, heads: int) -> Allowed:
    """Return the cells of a grammar in a model of this size; beyond FARTHEST only rules of document reach allow any.

    Sink tokens, which are read wherever a text begins, belong to no cell and are left out. Raises `GrammarError` for
    sentence reach, which offsets cannot express.
    """
    if grammar.needs_sentences:
        raise GrammarError(
            f"grammar {grammar.name!r} has rules of sentence reach, which cells of word offsets cannot hold"
        )
    near = np.zeros((layers, heads, _TAGS, _TAGS, OFFSETS), dtype=np.bool_)
    far = np.zeros((layers, heads, _TAGS, _TAGS), dtype=np.bool_)
    near[..., FARTHEST] = True
    for layer, tables in enumerate(compile_layers(grammar, layers=layers, heads=heads)):
        for table in tables:
            allowed = table.allowed[:, :_TAGS, :_TAGS].numpy()
            if table.reach.kind == "document":
                near[layer] |= allowed[..., None]
                far[layer] |= allowed
            else:
                first, last = max(table.reach.lo, -FARTHEST), min(table.reach.hi, FARTHEST)
                near[layer, ..., first + FARTHEST : last + FARTHEST + 1] |= allowed[..., None]
    return Allowed(near.reshape(-1, _TAGS, _TAGS, OFFSETS), far.reshape(-1, _TAGS, _TAGS))
