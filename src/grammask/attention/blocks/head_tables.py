"""A layer's heads by what they read: those with equal tables share blocks, which are then made once for all layers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from ...grammar.caching import cache_outside_modes
from ...grammar.tables import ReachTables

_SHARING: Final[int] = 2  # heads of each table, on average, from which blocks of their own cost less than masks by head

Tables = tuple[ReachTables, ...]


class HeadTables(NamedTuple):
    """The tables that some heads of a layer share, as those of one head; `heads` None: all of the layer's."""

    tables: Tables
    heads: Tensor | None = None


@cache_outside_modes
def tables_by_head(layer_tables: tuple[Tables, ...]) -> dict[int, tuple[HeadTables, ...]]:
    """Return what the heads of each layer read, by the identity of its tables; equal tables are the same object.

    Heads stay together where they have too many different tables.
    """
    shared: dict[bytes, Tables] = {}
    return {id(tables): _of_layer(tables, shared) for tables in layer_tables}


def _of_layer(tables: Tables, shared: dict[bytes, Tables]) -> tuple[HeadTables, ...]:
    heads: dict[int, tuple[Tables, list[int]]] = {}
    for head in range(len(tables[0].allowed)):
        own = _of_head(tables, head)
        own = shared.setdefault(_content(own), own)
        heads.setdefault(id(own), (own, []))[1].append(head)
    if len(heads) == 1 or len(heads) * _SHARING > len(tables[0].allowed):
        return (HeadTables(tables),)
    return tuple(HeadTables(own, torch.tensor(which, dtype=torch.int64, device="cpu")) for own, which in heads.values())


def _of_head(tables: Tables, head: int) -> Tables:
    """Return the tables of one head, without the reaches that let it read nothing."""
    own = [
        replace(table, allowed=table.allowed[head : head + 1], strength=table.strength[head : head + 1])
        for table in tables
    ]
    return (own[0], *(table for table in own[1:] if bool(table.allowed.any())))


def _content(tables: Sequence[ReachTables]) -> bytes:
    parts: list[Any] = []
    for table in tables:
        parts += [repr((table.reach, table.sink_tokens)).encode(), table.allowed.numpy().tobytes()]
    return b"".join(parts)
