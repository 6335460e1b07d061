"""The plan: what one batch asks of the attention, made once and shared by all layers.

It holds the batch's annotation and the compiled grammar. What layers ask for is made when it is first asked for, and
once for all layers with equal rules: the blocks that the sparse kernels work through, which are never n x n, or the
dense mask or bias of a short batch.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..grammar.caching import outside_inference_mode
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy
from ..grammar.tables import ReachTables
from .block_maker import BlockCall, BlockMaker
from .blocks.block import BlockGroup
from .blocks.lookup import PairLookup, compile_lookup
from .blocks.sorted import START
from .dense import heads_of
from .flex.calls import FlexCall, FlexCalls
from .inputs import Annotation
from .mask_maker import MaskMaker, MaskTransform
from .own_masks import OwnMasks, version
from .parts import WHOLE, Part, is_large
from .position_mask import FREE, PositionMask
from .tracing import is_tracing


class Plan:
    """One batch under one grammar and strategy.

    `layer_tables` holds the compiled tables of each layer; layers with equal tables hold the same object. `learned`
    is a learnable strength table (layers, heads or 1, tags, tags) that takes the place of the fixed strengths.
    `need_weights` asks for the attention weights themselves. `grammar` is what the tables were compiled from, `shape`
    is the batch's (batch, length). `mask_transform` makes another mask or bias of the grammar's, as the random control
    does; such a plan has no blocks. `lookups` holds the compiled look-up of each layer, for traced calls, which can
    compile none. `is_given` tells that a caller made the plan for calls of its own, however many.
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
        lookups: Sequence[PairLookup] = (),
        is_given: bool = False,
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
        self.lookups = lookups
        self.is_given = is_given
        self._own_masks = None if annotation is None else OwnMasks(annotation)
        # Strategy "full" makes none.
        self._blocks = (
            None if annotation is None
            else BlockMaker(annotation, strategy, layer_tables, learns=learned is not None)
        )  # fmt: skip
        self._maker = (
            None if annotation is None
            else MaskMaker(annotation, strategy, layer_tables, learned, mask_transform, lookups)
        )  # fmt: skip
        self._flex = None if annotation is None else FlexCalls(annotation, strategy, learned)
        # Keyed by identity: the keys' objects are held beside the value, so that no identity is used again.
        self._sharing = Counter(map(id, layer_tables))
        self._masks: dict[tuple[int, int, int, int, torch.dtype], tuple[object, object, Tensor]] = {}
        # What dispatch chose for each call, by all that the choice hangs on.
        self.choices: dict[object, Any] = {}

    def lookup(self, layer: int) -> PairLookup:
        """Return the compiled look-up of a layer."""
        return self.lookups[layer] if self.lookups else compile_lookup(self.layer_tables[layer])

    def sharing(self, layer: int) -> float:
        """Return how many calls share what is made for this layer: those of equal layers, or any number."""
        return math.inf if self.is_given else self._sharing[id(self.layer_tables[layer])]

    def block_groups(
        self, layer: int, position: PositionMask = FREE, *, queries: int | None = None, drops: bool = False,
        start: int = START,
    ) -> tuple[BlockGroup, ...]:  # fmt: skip
        """Return the groups of blocks of a layer, hard or soft, under the model's own mask of positions.

        Queries are the last `queries` places of the batch, None for all. `drops` tells that attention weights will be
        dropped: then each pair is read only once. `start` is what starting a block costs, in pairs that could be
        computed meanwhile. Raises `InputError` where a band needs another order of words.
        """
        assert self._blocks is not None  # noqa: S101 - strategy "full" has none
        queries = self.shape[1] if queries is None else queries
        return self._blocks.groups(layer, BlockCall(position, queries, drops, start))

    def flex_calls(self, layer: int, position: PositionMask, queries: int) -> tuple[FlexCall, ...]:
        """Return the calls of FlexAttention of a layer for the last `queries` places of the batch."""
        assert self._flex is not None  # noqa: S101 - strategy "full" has no such backend
        return self._flex.of(self.layer_tables[layer], self.lookup(layer).reaches, position, queries)

    def adds_nothing(self, layer: int) -> bool:
        """Tell whether the rules of a layer leave all scores as they are: soft, and none of them has a strength."""
        if self.strategy != "soft" or self.learned is not None or self.mask_transform is not None or is_tracing():
            return False
        return not self.lookup(layer).adds

    def cells(self, layer: int, queries: int) -> int:
        """Return how many cells the mask of a layer has that is worth making in parts: one that heads don't share."""
        if self.strategy == "full" or self.learned is not None or self.mask_transform is not None:
            return 0
        if self.adds_nothing(layer):
            return 0
        heads, (batch, length) = heads_of(self.layer_tables[layer]), self.shape
        return 0 if heads == 1 else batch * heads * queries * length

    def mask(
        self, layer: int, model_mask: Tensor | None, dtype: torch.dtype, position: PositionMask = FREE, *,
        queries: int | None = None, part: Part = WHOLE,
    ) -> Tensor | None:  # fmt: skip
        """Return the mask of a layer, additive: the grammar's and the model's own, ANDed (hard) or added (soft).

        `model_mask` is None, bool (True means "may read") or additive, broadcastable to (batch, heads, query, key);
        `position` is what else the model's own mask says. Queries are the last `queries` places, None for all.
        Rows of padding are left to the model's own mask, so that they hold what the stock model would hold. What it
        blocks for a token together with the grammar may be all keys: such a token reads nothing, see `merge_masks`.
        `part` asks for some rows only, where `cells` is not 0.
        """
        queries = self.shape[1] if queries is None else queries
        if not position.is_free:
            assert self._own_masks is not None  # noqa: S101 - FREE is all that strategy "full" knows
            model_mask = self._own_masks.of(position, model_mask, queries)
        if self.strategy == "full":
            return model_mask
        assert self._maker is not None  # noqa: S101 - the constructor saw to it
        if self.strategy == "soft" and self.learned is not None:
            # Never kept: each layer has its own, and recomputed layers must make their own graph.
            return self._maker.learnt(layer, model_mask, dtype, queries=queries)
        tables = self.layer_tables[layer]
        if queries < self.shape[1]:
            part = replace(part, shift=self.shape[1] - queries)
        has_graph = model_mask is not None and model_mask.requires_grad
        if is_tracing() or has_graph or self.is_passing(layer, queries):
            return self._maker.fixed(layer, model_mask, dtype, part)
        key = (id(tables), id(model_mask), version(model_mask), queries, dtype)
        if key not in self._masks:
            with outside_inference_mode():
                mask = self._maker.fixed(layer, model_mask, dtype, part)
            self._masks.setdefault(key, (tables, model_mask, mask))
        return self._masks[key][2]

    @property
    def padding(self) -> Tensor | None:
        """The mask of padding alone, as `readable`; None where no text has any."""
        return self.readable if self._checked.is_padded else None

    @property
    def readable(self) -> Tensor:
        """The mask of padding alone: bool (batch, 1, 1, length)."""
        return self._checked.readable

    def is_passing(self, layer: int, queries: int) -> bool:
        """Tell whether a layer's mask is let go: a large one, or one of many that no other call shares."""
        cells = self.cells(layer, queries)
        is_alone = self.sharing(layer) == 1 < len(self.layer_tables)
        return is_large(cells) or (cells > 0 and is_alone)

    @property
    def _checked(self) -> Annotation:
        assert self.annotation is not None  # noqa: S101 - the constructor saw to it
        return self.annotation
