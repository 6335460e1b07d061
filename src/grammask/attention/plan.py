"""The plan: what one batch asks of the attention, made once and shared by all layers.

It holds the batch's annotation and the compiled grammar. What layers ask for is made when it is first asked for, and
once for all layers with equal rules: the blocks that the sparse kernels work through, which are never n x n, or the
dense mask or bias of a short batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..grammar.caching import outside_inference_mode
from ..grammar.grammar import Grammar
from ..grammar.masks import merge_masks
from ..grammar.rules import Strategy
from ..grammar.tables import ReachTables
from ..grammar.tags import PAD
from .blocks.block import BlockGroup
from .blocks.make_blocks import UnsortedError, make_block_groups
from .dense import dense_bias, dense_mask
from .inputs import Annotation

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
        self._grammar: dict[tuple[int, torch.dtype], tuple[object, Tensor]] = {}
        self._block_groups: dict[tuple[int, bool], tuple[object, tuple[BlockGroup, ...]]] = {}
        self._readable: Tensor | None = None
        self._merged: dict[tuple[int, int, int, torch.dtype], tuple[object, object, Tensor]] = {}

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

    def mask(self, layer: int, model_mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """Return the mask of a layer: the grammar's and the model's own, ANDed (hard) or added (soft).

        `model_mask` is None, bool (True means "may read") or additive, broadcastable to (batch, heads, query, key).
        Rows of padding are left to the model's own mask, so that they hold what the stock model would hold. What it
        blocks for a token together with the grammar may be all keys: such a token reads nothing, see `merge_masks`.
        """
        if self.strategy == "full":
            return model_mask
        if self.strategy == "soft" and self.learned is not None:
            # Never kept: each layer has its own, and recomputed layers must make their own graph.
            return _merge(self._learned_bias(layer).to(dtype), model_mask, dtype)
        tables = self.layer_tables[layer]
        if model_mask is not None and model_mask.requires_grad:
            return _merge(self._grammar_mask(tables, dtype), model_mask, dtype)
        key = (id(tables), id(model_mask), _version(model_mask), dtype)
        if key not in self._merged:
            with outside_inference_mode():
                merged = _merge(self._grammar_mask(tables, dtype), model_mask, dtype)
            self._merged.setdefault(key, (tables, model_mask, merged))
        return self._merged[key][2]

    @property
    def readable(self) -> Tensor:
        """The mask of padding alone: bool (batch, 1, 1, length)."""
        if self._readable is None:
            with outside_inference_mode():
                self._readable = (self._checked.tag_ids != PAD)[:, None, None, :]
        return self._readable

    def _grammar_mask(self, tables: tuple[ReachTables, ...], dtype: torch.dtype) -> Tensor:
        key = (id(tables), dtype)
        if key not in self._grammar:
            make = self._allowed if self.strategy == "hard" else self._bias
            with outside_inference_mode():
                self._grammar.setdefault(key, (tables, make(tables, dtype)))
        return self._grammar[key][1]

    def _allowed(self, tables: tuple[ReachTables, ...], dtype: torch.dtype) -> Tensor:
        at = self._checked
        allowed = dense_mask(tables, at)
        if self.mask_transform is not None:
            allowed = self.mask_transform(allowed, at, len(self._grammar))
            if allowed.is_floating_point():
                return self._without_padding(allowed).to(dtype)
        return allowed | (at.tag_ids == PAD)[:, None, :, None]

    def _bias(self, tables: tuple[ReachTables, ...], dtype: torch.dtype) -> Tensor:
        bias = dense_bias(tables, self._checked)
        if self.mask_transform is not None:
            bias = self.mask_transform(bias, self._checked, len(self._grammar))
        return self._without_padding(bias).to(dtype)

    def _learned_bias(self, layer: int) -> Tensor:
        assert self.learned is not None  # noqa: S101
        tag_ids = self._checked.tag_ids
        table = self.learned[layer]
        return self._without_padding(table[:, tag_ids[:, :, None], tag_ids[:, None, :]].transpose(0, 1))

    def _without_padding(self, bias: Tensor) -> Tensor:
        padding = self._checked.tag_ids == PAD
        bias = bias.masked_fill(padding[:, None, :, None], 0.0)
        # A key of padding is never read: a row of padding itself, which the model's own mask governs, may.
        blocked = padding[:, None, None, :] & ~padding[:, None, :, None]
        return bias.masked_fill(blocked, -torch.inf)

    @property
    def _checked(self) -> Annotation:
        assert self.annotation is not None  # noqa: S101 - the constructor saw to it
        return self.annotation


def _merge(mask: Tensor, model_mask: Tensor | None, dtype: torch.dtype) -> Tensor:
    merged = merge_masks(mask, model_mask)
    return merged if merged.dtype == torch.bool else merged.to(dtype)


def _version(tensor: Tensor | None) -> int:
    """Return how often a tensor was written to; those of inference mode don't count it."""
    return -1 if tensor is None or tensor.is_inference() else tensor._version
