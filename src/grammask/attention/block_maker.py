"""The blocks of one batch: made when a layer first asks for them, and once for all that read alike."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ..grammar.caching import outside_inference_mode
from ..grammar.rules import Strategy
from ..grammar.tables import ReachTables
from .blocks.block import BlockGroup
from .blocks.head_tables import HeadTables, tables_by_head
from .blocks.make_blocks import make_block_groups
from .blocks.text import Text, texts_of
from .inputs import Annotation
from .position_mask import PositionMask

Tables = tuple[ReachTables, ...]


class BlockCall(NamedTuple):
    """What blocks hang on beside the tables; see `Plan.block_groups`."""

    position: PositionMask
    queries: int
    drops: bool
    start: int


class BlockMaker:
    """Makes the blocks of a batch under the tables of a model's layers, and keeps them; arguments are as for `Plan`."""

    def __init__(
        self, annotation: Annotation, strategy: Strategy, layer_tables: Sequence[Tables], *, learns: bool
    ) -> None:
        self._annotation = annotation
        self._strategy = strategy
        self._layer_tables = layer_tables
        self._learns = learns
        # Keyed by identity: the keys' objects are held beside the value, so that no identity is used again.
        self._of_layers: dict[tuple[int, BlockCall], tuple[object, tuple[BlockGroup, ...]]] = {}
        self._of_tables: dict[tuple[int, BlockCall], tuple[object, tuple[BlockGroup, ...]]] = {}
        self._texts: dict[tuple[PositionMask, int], tuple[Text, ...]] = {}

    def groups(self, layer: int, call: BlockCall) -> tuple[BlockGroup, ...]:
        """Return the groups of blocks of a layer."""
        tables = self._layer_tables[layer]
        if (id(tables), call) not in self._of_layers:
            with outside_inference_mode():
                groups = tuple(
                    group if own.heads is None else replace(group, heads=own.heads)
                    for own in self._by_head(tables)
                    for group in self._groups_of(own.tables, call)
                )
            self._of_layers.setdefault((id(tables), call), (tables, groups))
        return self._of_layers[id(tables), call][1]

    def _by_head(self, tables: Tables) -> tuple[HeadTables, ...]:
        """Return the tables of a layer, apart for heads that read alike; soft biases are made for all at once."""
        if self._strategy != "hard" or len(tables[0].allowed) == 1:
            return (HeadTables(tables),)
        return tables_by_head(tuple(self._layer_tables))[id(tables)]

    def _groups_of(self, tables: Tables, call: BlockCall) -> tuple[BlockGroup, ...]:
        """Return the groups of blocks under some tables, for all heads that have them."""
        if (id(tables), call) not in self._of_tables:
            place = call.position, call.queries
            if place not in self._texts:
                self._texts[place] = tuple(texts_of(self._annotation, *place))
            groups = make_block_groups(
                self._texts[place], tables, self._strategy, learned=self._learns, drops=call.drops, start=call.start
            )
            self._of_tables.setdefault((id(tables), call), (tables, groups))
        return self._of_tables[id(tables), call][1]
