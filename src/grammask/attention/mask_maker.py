"""The making of a plan's dense masks: the grammar's, a transform of it, or learned strengths, with the model's own."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..grammar.caching import outside_inference_mode
from ..grammar.masks import merge_masks
from ..grammar.rules import Strategy
from ..grammar.tables import ReachTables
from ..grammar.tags import UPOS
from .blocks.block import ALL, as_bias
from .blocks.lookup import PairLookup
from .dense import Cells, dense_bias, dense_mask, merged_mask, without_padding
from .inputs import Annotation
from .parts import Part, is_large
from .tracing import is_tracing

# From a mask (hard) or bias (soft) (batch, heads, length, length), the annotation, and how many of them the plan made
# before, to another mask, or to a bias of the scores.
MaskTransform = Callable[[Tensor, Annotation, int], Tensor]


class MaskMaker:
    """Makes the dense masks of one batch; what it was made of is described at `Plan`."""

    def __init__(
        self,
        annotation: Annotation,
        strategy: Strategy,
        layer_tables: Sequence[tuple[ReachTables, ...]],
        learned: Tensor | None,
        mask_transform: MaskTransform | None,
        lookups: Sequence[PairLookup],
    ) -> None:
        self.annotation = annotation
        self.strategy = strategy
        self.layer_tables = layer_tables
        self.learned = learned
        self.mask_transform = mask_transform
        self.lookups = lookups
        self._cells: Cells | None = None
        # Keyed by identity: the keys' objects are held beside the value, so that no identity is used again.
        self._transforms: dict[int, tuple[object, Tensor]] = {}

    def fixed(self, layer: int, model_mask: Tensor | None, dtype: torch.dtype, part: Part) -> Tensor:
        """Return a part of the mask of a layer whose strengths, if any, are the grammar's; see `Plan.mask`."""
        at = self.annotation if part.texts == ALL else part.of_annotation(self.annotation)
        model_mask = None if model_mask is None else part.of_mask(model_mask)
        tables, lookup = self.layer_tables[layer], self.lookups[layer] if self.lookups else None
        cells = self._whole_cells() if part.texts == ALL else None
        if self.mask_transform is not None:  # always of the whole batch
            bias = self._transformed(tables, lookup, self.mask_transform)[:, :, part.places]
        elif self.strategy == "soft":
            bias = dense_bias(tables, at, rows=part.places, lookup=lookup, cells=cells)
        else:
            return merged_mask(tables, at, model_mask, dtype, rows=part.places, lookup=lookup, cells=cells)
        return merge_masks(without_padding(bias, at, part.places).to(dtype), model_mask).to(dtype)

    def _whole_cells(self) -> Cells | None:
        """Return the cells of the whole batch, which layers share where they are few."""
        if is_tracing() or is_large(self.annotation.tag_ids.numel() * self.annotation.tag_ids.shape[1]):
            return None
        if self._cells is None:
            with outside_inference_mode():
                self._cells = Cells(self.annotation, kept=len(self.layer_tables) > 1)
        return self._cells

    def learnt(self, layer: int, model_mask: Tensor | None, dtype: torch.dtype, *, queries: int) -> Tensor:
        """Return the mask of a layer whose strengths are learned, of the last `queries` places."""
        assert self.learned is not None  # noqa: S101
        tag_ids = self.annotation.tag_ids
        bias = with_new(self.learned[layer])[:, tag_ids[:, :, None], tag_ids[:, None, :]].transpose(0, 1)
        bias = without_padding(bias, self.annotation)[:, :, tag_ids.shape[1] - queries :]
        return merge_masks(bias.to(dtype), model_mask).to(dtype)

    def _transformed(
        self, tables: tuple[ReachTables, ...], lookup: PairLookup | None, mask_transform: MaskTransform
    ) -> Tensor:
        """Return the bias that `mask_transform` makes of a layer's mask or bias: once, since it counts its calls."""
        if id(tables) not in self._transforms:
            make = dense_mask if self.strategy == "hard" else dense_bias
            with outside_inference_mode():
                mask = make(tables, self.annotation, lookup=lookup)
                bias = as_bias(mask_transform(mask, self.annotation, len(self._transforms)))
            self._transforms.setdefault(id(tables), (tables, bias))
        return self._transforms[id(tables)][1]


def with_new(table: Tensor) -> Tensor:
    """Return a learned table (heads, tags, tags) with a row and a column for `[NEW]`.

    As a query it has the highest strength of any part of speech; as a key it has none. It is made in every layer anew,
    since recomputed layers must make their own graph.
    """
    with_query = torch.cat([table, table[:, : len(UPOS)].amax(1, keepdim=True)], 1)
    return functional.pad(with_query, (0, 1))
