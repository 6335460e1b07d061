"""What the tokens of one pass read in a cache that lets keys go: one call of attention for each part of a layer."""

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from ..attention.blocks.block import ALL
from ..attention.kept.board import Board
from ..attention.kept.joined_runs import JoinedRuns
from .kept_layer import KeptLayer
from .kept_parts import Part

_CELLS: Final[int] = 1 << 22  # of a mask that is made at a time
_FEW: Final[int] = 4  # runs up to which the masks of several queries are kept for all layers


class KeptReads:
    """The reads of the last tokens on a board, which have these tags (batch, tokens), in runs that are joined."""

    def __init__(self, board: Board, joined: JoinedRuns, tags: Tensor) -> None:
        self._board = board
        self._joined = joined
        self._tags = tags
        self._is_alone = tags.shape[1] == 1
        self._of_all: Tensor | None = None
        self._masks: dict[tuple[tuple[int, ...], int], Tensor] = {}

    def attend(self, layer: KeptLayer, query: Tensor, key: Tensor, value: Tensor, **how: Any) -> Tensor:
        """Return attention (batch, heads, queries, head_dim); the keys and values of the tokens are put in first.

        `how` is what PyTorch's own attention is told beside.
        """
        batch, heads, queries, width = query.shape
        layer.add(self._board.fresh - queries, key, value)
        # All query heads of a key are rows of one call.
        rows = query.reshape(batch, key.shape[1], -1, queries, width)
        outputs = [self._part(layer, part, rows.narrow(1, part.first, part.count), **how) for part in layer.parts]
        output = torch.cat(outputs, 1) if len(outputs) > 1 else outputs[0]
        return output.reshape(batch, heads, queries, -1)

    def _part(self, layer: KeptLayer, part: Part, query: Tensor, **how: Any) -> Tensor:
        """Return what (batch, key-value heads, query heads of one, queries, head_dim) read: (..., rows, head_dim)."""
        batch, _, shared, queries, _ = query.shape
        slots = max(self._board.runs[run].kept for run in part.distinct) + self._board.fresh
        keys, values = layer.read(part, slots)
        step = max(1, _CELLS // (batch * shared * slots * len(part.distinct)))
        if queries <= step:
            mask = self._mask(part, slice(0, queries), slots, query.dtype)
            return F.scaled_dot_product_attention(query.flatten(2, 3), keys, values, mask, **how)
        read = []
        for some in (slice(row, min(row + step, queries)) for row in range(0, queries, step)):
            rows, mask = query[:, :, :, some], self._mask(part, some, slots, query.dtype)
            output = F.scaled_dot_product_attention(rows.flatten(2, 3), keys, values, mask, **how)
            read.append(output.reshape(*rows.shape[:-1], -1))
        return torch.cat(read, 3).flatten(2, 3)

    def _mask(self, part: Part, rows: slice, slots: int, dtype: torch.dtype) -> Tensor:
        """Return what some queries read in a part: (batch, 1 or heads, query heads of a key * queries, slots)."""
        key = part.distinct, rows.start
        mask = self._masks.get(key)
        if mask is None:
            mask = self._of_slots(self._joined.columns[part.distinct], rows, dtype)
            batch, shared, queries, _ = mask.shape
            mask = mask.view(batch, shared, queries, len(part.distinct), -1).permute(0, 3, 1, 2, 4).flatten(2, 3)
            if self._is_alone or len(self._board.runs) <= _FEW:
                self._masks[key] = mask
        return mask.narrow(3, 0, slots)

    def _of_slots(self, columns: slice, rows: slice, dtype: torch.dtype) -> Tensor:
        """Return what some queries read in some of the joined slots: (batch, query heads of a key, queries, slots)."""
        if not self._is_alone:
            return self._board.mask(self._joined.index[columns], self._tags, rows, dtype)
        if self._of_all is None:  # what one query reads is looked up for all layers at once
            self._of_all = self._board.mask(ALL, self._tags, rows, dtype, joined=self._joined.index)
        return self._of_all[..., columns]
