"""Counting allowed pairs of long texts: tile by tile, so that no mask is ever there as a whole."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from ..grammar.grammar import Grammar
from ..grammar.masks import allowed_pairs, count_pairs
from ..grammar.tables import ReachTables, compile_layers
from ..grammar.tags import PAD

_TILE: Final[int] = 4096


def measure_pairs(
    grammar: Grammar, annotation: Mapping[str, Tensor], *, layers: int, heads: int
) -> tuple[float, float]:
    """Return the allowed pairs of a batch, as the mean over layers and heads, and all pairs of its real tokens."""
    counted: dict[int, float] = {}
    compiled = compile_layers(grammar, layers=layers, heads=heads)
    for tables in compiled:
        if id(tables) not in counted:
            counted[id(tables)] = count_allowed(tables, annotation) / tables[0].allowed.shape[0]
    lengths = (annotation["tag_ids"] != PAD).sum(1)
    return sum(counted[id(tables)] for tables in compiled) / layers, float((lengths**2).sum())


def count_allowed(tables: Sequence[ReachTables], annotation: Mapping[str, Tensor]) -> int:
    """Count the pairs that compiled tables allow, over the texts and over the heads of the tables.

    `annotation` holds tag_ids, word_ids and sentence_ids (batch, length).
    """
    allowed = 0
    for row in range(len(annotation["tag_ids"])):
        text = {name: ids[row : row + 1] for name, ids in annotation.items()}
        stretches = torch.split(
            torch.arange(text["tag_ids"].shape[1], dtype=torch.long, device=text["tag_ids"].device), _TILE
        )
        for number, one in enumerate(stretches):
            for other in stretches[number:]:
                allowed += _count(tables, text, one, None if other is one else other)
    return allowed


def _count(tables: Sequence[ReachTables], text: Mapping[str, Tensor], one: Tensor, other: Tensor | None) -> int:
    """Count the pairs within a stretch of positions, or those between it and another one."""
    places = one if other is None else torch.cat([one, other])
    ids = {name: values[:, places] for name, values in text.items()}
    mask = allowed_pairs(tables, tag_ids=ids["tag_ids"], word_ids=ids["word_ids"], sentence_ids=ids["sentence_ids"])
    if other is not None:
        mask[:, :, : len(one), : len(one)] = False
        mask[:, :, len(one) :, len(one) :] = False
    return count_pairs(mask, tag_ids=ids["tag_ids"], word_ids=ids["word_ids"]).allowed
