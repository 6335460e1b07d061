"""Which keys of a text some later token may still read: a key-value cache may let go of all others, exactly."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from ..grammar.masks import first_tokens
from ..grammar.tables import ReachTables
from ..grammar.tags import PAD, UPOS
from .inputs import Annotation
from .position_mask import FREE, PositionMask

_WORDS: Final[slice] = slice(0, len(UPOS))


def later_keys(
    tables: Sequence[ReachTables], annotation: Annotation, *, key_heads: int, position: PositionMask = FREE
) -> Tensor:
    """Return which keys of each text tokens after its end may read: bool (batch, key heads, length).

    A later token has any part of speech, and belongs to the last word or to one after it. A key of heads that share it
    counts where any of them may read it. `position` is the layer's own mask.
    """
    tags, words = annotation.tag_ids, annotation.word_ids
    behind = words - words.amax(1, keepdim=True)  # 0 for the last word, below 0 before it
    always = first_tokens(tags, tables[0].sink_tokens) | ((words >= 0) & (behind == 0))
    kept = always[:, None] | _by_tag(tables[0], tags)
    for table in tables[1:]:
        kept = kept | (_by_tag(table, tags) & _reached(table, annotation, behind)[:, None])
    kept = kept & (_within(position, tags) & (tags != PAD))[:, None]
    if kept.shape[1] == 1:
        return kept.expand(-1, key_heads, -1)
    batch, heads, length = kept.shape
    return kept.view(batch, key_heads, heads // key_heads, length).any(2)


def _by_tag(table: ReachTables, tags: Tensor) -> Tensor:
    """Return the keys that some word may read by their tags: bool (batch, heads, length)."""
    return table.allowed.to(tags.device)[:, _WORDS].any(1)[:, tags].transpose(0, 1)


def _reached(table: ReachTables, annotation: Annotation, behind: Tensor) -> Tensor:
    """Return the keys within a bounded reach of a later token: bool (batch, length)."""
    if table.reach.kind == "words":
        return (annotation.word_ids >= 0) & (behind >= table.reach.lo)
    sentences = annotation.sentence_ids
    assert sentences is not None  # noqa: S101 - the annotation was checked for these tables
    return (sentences >= 0) & (sentences == sentences.amax(1, keepdim=True))


def _within(position: PositionMask, tags: Tensor) -> Tensor:
    """Return the keys that the layer's own window leaves to the next token: bool (batch, length)."""
    length = tags.shape[1]
    left = length if position.left is None else position.left
    return (torch.arange(length, dtype=torch.int64, device=tags.device) >= length - left).expand_as(tags)
