"""The plan: what one batch asks of the attention, made once and shared by all layers.

It holds the batch's annotation and the compiled grammar. What layers ask for is made when it is first asked for, and
once for all layers with equal rules: the blocks that the sparse kernels work through, which are never n x n, or the
dense mask or bias of a short batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..grammar.caching import outside_inference_mode
from ..grammar.grammar import Grammar
from ..grammar.masks import merge_masks
from ..grammar.rules import Strategy
from ..grammar.tables import ReachTables
from ..grammar.tags import PAD
from .blocks.block import ALL, BlockGroup, as_bias
from .blocks.head_bits import EVERY, NONE, additive_mask
from .blocks.make_blocks import UnsortedError, make_block_groups
from .dense import allowed_bits, dense_bias, dense_mask, heads_of
from .inputs import Annotation
from .parts import WHOLE, Part, is_large

# From a mask (hard) or bias (soft) (batch, heads, length, length), the annotation, and how many of them the plan made
# before, to another mask, or to a bias of the scores.
MaskTransform = Callable[[Tensor, Annotation, int], Tensor]


class Plan:
    """One batch under one grammar and strategy.

    `layer_tables` holds the compiled tables of each layer; layers with equal tables hold the same object. `learned`
    is a learnable strength table (layers, heads or 1, tags, tags) that takes the place of the fixed strengths.
    `need_weights` asks for the attention weights themselves. `grammar` is what the tables were compiled from, `shape`
    is the batch's (batch, length). `mask_transform` makes another mask or bias of the grammar's, as the random control
    does; such a plan has no blocks.
    """

    def __init__(
        self,
        annotation: Annotation | None,
        *,
        strategy: Strategy,
        layer_tables: Sequence[tuple[ReachTables, ...]],
        learned: Tensor | None = None,
        need_weights: bool = False,
        grammar: Grammar | None = None,
        shape: tuple[int, int] = (0, 0),
        mask_transform: MaskTransform | None = None,
    ) -> None:
        if annotation is None and strategy != "full":
            raise ValueError(f"strategy {strategy!r} needs an annotation")
        self.annotation = annotation
        self.strategy = strategy
        self.layer_tables = layer_tables
        self.learned = learned
        self.need_weights = need_weights
        self.grammar = grammar
        self.name = "" if grammar is None else grammar.name
        self.shape = shape
        self.mask_transform = mask_transform
        # Keyed by identity: the keys' objects are held beside the value, so that no identity is used again.
        self._biases: dict[int, tuple[object, Tensor]] = {}
        self._block_groups: dict[tuple[int, bool], tuple[object, tuple[BlockGroup, ...]]] = {}
        self._readable: Tensor | None = None
        self._masks: dict[tuple[int, int, int, torch.dtype], tuple[object, object, Tensor]] = {}
        # What dispatch chose for each call, by all that the choice hangs on.
        self.choices: dict[object, Any] = {}

    def block_groups(self, layer: int, *, drops: bool = False) -> tuple[BlockGroup, ...]:
        """Return the groups of blocks of a layer, hard or soft.

        `drops` tells that attention weights will be dropped: then each pair is read only once. Raises `InputError`
        where a band needs another order of words.
        """
        tables = self.layer_tables[layer]
        key = (id(tables), drops)
        if key not in self._block_groups:
            with outside_inference_mode():
                groups = make_block_groups(
                    self._checked, tables, self.strategy, learned=self.learned is not None, drops=drops
                )
            self._block_groups.setdefault(key, (tables, groups))
        return self._block_groups[key][1]

    def why_unsorted(self, layer: int, *, drops: bool) -> str | None:
        """Return why the batch has no blocks for a layer, None when it has."""
        try:
            self.block_groups(layer, drops=drops)
        except UnsortedError as error:
            return str(error)
        return None

    def cells(self, layer: int) -> int:
        """Return how many cells the mask of a layer has that is worth making in parts: one that heads don't share."""
        if self.strategy == "full" or self.learned is not None or self.mask_transform is not None:
            return 0
        heads, (batch, length) = heads_of(self.layer_tables[layer]), self.shape
        return 0 if heads == 1 else batch * heads * length**2

    def mask(self, layer: int, model_mask: Tensor | None, dtype: torch.dtype, part: Part = WHOLE) -> Tensor | None:
        """Return the mask of a layer, additive: the grammar's and the model's own, ANDed (hard) or added (soft).

        `model_mask` is None, bool (True means "may read") or additive, broadcastable to (batch, heads, query, key).
        Rows of padding are left to the model's own mask, so that they hold what the stock model would hold. What it
        blocks for a token together with the grammar may be all keys: such a token reads nothing, see `merge_masks`.
        `part` asks for some rows only, where `cells` is not 0.
        """
        if self.strategy == "full":
            return model_mask
        if self.strategy == "soft" and self.learned is not None:
            # Never kept: each layer has its own, and recomputed layers must make their own graph.
            return merge_masks(self._learned_bias(layer).to(dtype), model_mask).to(dtype)
        tables = self.layer_tables[layer]
        if self._is_passing(layer) or (model_mask is not None and model_mask.requires_grad):
            return self._make_mask(tables, model_mask, dtype, part)
        key = (id(tables), id(model_mask), _version(model_mask), dtype)
        if key not in self._masks:
            with outside_inference_mode():
                mask = self._make_mask(tables, model_mask, dtype, part)
            self._masks.setdefault(key, (tables, model_mask, mask))
        return self._masks[key][2]

    @property
    def readable(self) -> Tensor:
        """The mask of padding alone: bool (batch, 1, 1, length)."""
        if self._readable is None:
            with outside_inference_mode():
                self._readable = (self._checked.tag_ids != PAD)[:, None, None, :]
        return self._readable

    def _is_passing(self, layer: int) -> bool:
        """Tell whether a layer's mask is let go: a large one, or one of many that no other layer shares."""
        cells, tables = self.cells(layer), self.layer_tables[layer]
        shared = len(self.layer_tables) == 1 or sum(other is tables for other in self.layer_tables) > 1
        return is_large(cells) or (cells > 0 and not shared)

    def _make_mask(
        self, tables: tuple[ReachTables, ...], model_mask: Tensor | None, dtype: torch.dtype, part: Part
    ) -> Tensor:
        at = self._checked if part is WHOLE else part.of_annotation(self._checked)
        model_mask = None if model_mask is None else part.of_mask(model_mask)
        if self.mask_transform is not None or self.strategy == "soft":
            return merge_masks(self._bias(tables, at, part.rows).to(dtype), model_mask).to(dtype)
        bits = allowed_bits(tables, at, rows=part.rows)
        bits.masked_fill_((at.tag_ids == PAD)[:, None, part.rows, None], EVERY)
        if model_mask is not None and model_mask.dtype == torch.bool and model_mask.shape[1] == 1:
            # Once for all heads.
            bits.masked_fill_(~model_mask, NONE)
            model_mask = None
        return merge_masks(additive_mask(bits, heads_of(tables), dtype), model_mask).to(dtype)

    def _bias(self, tables: tuple[ReachTables, ...], at: Annotation, rows: slice) -> Tensor:
        if self.mask_transform is not None:  # always of the whole batch
            return _without_padding(self._transformed(tables, self.mask_transform), at, rows)
        return _without_padding(dense_bias(tables, at, rows=rows), at, rows)

    def _transformed(self, tables: tuple[ReachTables, ...], mask_transform: MaskTransform) -> Tensor:
        """Return the bias that `mask_transform` makes of a layer's mask or bias: once, since it counts its calls."""
        if id(tables) not in self._biases:
            make = dense_mask if self.strategy == "hard" else dense_bias
            with outside_inference_mode():
                bias = as_bias(mask_transform(make(tables, self._checked), self._checked, len(self._biases)))
            self._biases.setdefault(id(tables), (tables, bias))
        return self._biases[id(tables)][1]

    def _learned_bias(self, layer: int) -> Tensor:
        assert self.learned is not None  # noqa: S101
        tag_ids = self._checked.tag_ids
        table = self.learned[layer]
        return _without_padding(table[:, tag_ids[:, :, None], tag_ids[:, None, :]].transpose(0, 1), self._checked)

    @property
    def _checked(self) -> Annotation:
        assert self.annotation is not None  # noqa: S101 - the constructor saw to it
        return self.annotation


def _without_padding(bias: Tensor, at: Annotation, rows: slice = ALL) -> Tensor:
    keys = (at.tag_ids == PAD)[:, None, None, :]
    queries = keys.transpose(2, 3)[:, :, rows]
    bias = bias.masked_fill(queries, 0.0)
    # A key of padding is never read: a row of padding itself, which the model's own mask governs, may.
    return bias.masked_fill(keys & ~queries, -torch.inf)


def _version(tensor: Tensor | None) -> int:
    """Return how often a tensor was written to; those of inference mode don't count it."""
    return -1 if tensor is None or tensor.is_inference() else tensor._version
