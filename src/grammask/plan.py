"""The plan: what one batch asks of the attention, made once and shared by all layers.

It holds the batch's annotation and the compiled grammar, and makes each distinct dense mask or bias at most once,
however many layers ask for it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .inputs import Annotation
from .masks import allowed_pairs, pair_strengths
from .rules import Strategy
from .tables import ReachTables
from .tags import PAD


class Plan:
    """One batch under one grammar and strategy.

    `layer_tables` holds the compiled tables of each layer; layers with equal tables hold the same object. `learned`
    is a learnable strength table (layers, heads or 1, tags, tags) that takes the place of the fixed strengths.
    `need_weights` asks for the attention weights themselves.
    """

    def __init__(
        self,
        annotation: Annotation | None,
        *,
        strategy: Strategy,
        layer_tables: Sequence[tuple[ReachTables, ...]],
        learned: Tensor | None = None,
        need_weights: bool = False,
    ) -> None:
        if annotation is None and strategy != "full":
            raise ValueError(f"strategy {strategy!r} needs an annotation")
        self.annotation = annotation
        self.strategy = strategy
        self.layer_tables = layer_tables
        self.learned = learned
        self.need_weights = need_weights
        # Keyed by identity: the keys' objects are held beside the value, so that no identity is used again.
        self._grammar: dict[tuple[int, torch.dtype], tuple[object, Tensor]] = {}
        self._merged: dict[tuple[int, int, torch.dtype], tuple[object, object, Tensor]] = {}

    def mask(self, layer: int, model_mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """Return the mask of a layer: the grammar's and the model's own, ANDed (hard) or added (soft).

        `model_mask` is None, bool (True means "may read") or additive, broadcastable to (batch, heads, query, key).
        Rows of padding are left to the model's own mask, so that they hold what the stock model would hold.
        """
        if self.strategy == "full":
            return model_mask
        if self.strategy == "soft" and self.learned is not None:
            # Never kept: each layer has its own, and recomputed layers must make their own graph.
            return merge(self._learned_bias(layer).to(dtype), model_mask)
        tables = self.layer_tables[layer]
        key = (id(tables), id(model_mask), dtype)
        if key not in self._merged:
            self._merged[key] = (tables, model_mask, merge(self._grammar_mask(tables, dtype), model_mask))
        return self._merged[key][2]

    def _grammar_mask(self, tables: tuple[ReachTables, ...], dtype: torch.dtype) -> Tensor:
        key = (id(tables), dtype)
        if key not in self._grammar:
            make = self._allowed if self.strategy == "hard" else self._bias
            self._grammar[key] = (tables, make(tables, dtype))
        return self._grammar[key][1]

    def _allowed(self, tables: tuple[ReachTables, ...], _: torch.dtype) -> Tensor:
        at = self._checked
        tables = tuple(table.to(at.tag_ids.device) for table in tables)
        allowed = allowed_pairs(tables, tag_ids=at.tag_ids, word_ids=at.word_ids, sentence_ids=at.sentence_ids)
        return allowed | (at.tag_ids == PAD)[:, None, :, None]

    def _bias(self, tables: tuple[ReachTables, ...], dtype: torch.dtype) -> Tensor:
        at = self._checked
        tables = tuple(table.to(at.tag_ids.device) for table in tables)
        bias = pair_strengths(tables, tag_ids=at.tag_ids, word_ids=at.word_ids, sentence_ids=at.sentence_ids)
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


def merge(mask: Tensor, model_mask: Tensor | None) -> Tensor:
    """AND two masks, each bool (True means "may read") or additive; the result is additive if either is."""
    if model_mask is None:
        return mask
    if mask.dtype == torch.bool and model_mask.dtype == torch.bool:
        return mask & model_mask
    if mask.dtype == torch.bool:
        return model_mask.masked_fill(~mask, -torch.inf)
    if model_mask.dtype == torch.bool:
        return mask.masked_fill(~model_mask, -torch.inf)
    return mask + model_mask
