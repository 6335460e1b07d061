"""The slots of a key-value cache: which token's key stands in each, for all patterns of a model.

A run of slots is what one pattern keeps under one window of the model's own: the keys of earlier tokens that a later
one may read, in the order of the text, then those of all tokens since. The runs of a text lie in one row, so that one
look-up answers for all layers. A text that keeps fewer keys than others of its batch has slots that nobody reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .patterns import NOBODY, Patterns, kinds_of

_BEFORE: Final[int] = -(1 << 30)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of a batch: int32 (batch, tokens): kinds as in `patterns`, words (-1: none), places in the text."""

    kinds: Tensor
    words: Tensor
    places: Tensor

    def take(self, index: Tensor) -> "Tokens":
        """Select tokens (batch, some); -1 makes a slot that nobody reads, of no place (-1)."""
        hole, index = index < 0, index.clamp(min=0)
        kinds, words, places = (ids.gather(1, index) for ids in (self.kinds, self.words, self.places))
        return Tokens(kinds.masked_fill_(hole, NOBODY), words.masked_fill_(hole, -1), places.masked_fill_(hole, -1))

    def at(self, tokens: slice) -> "Tokens":
        """Select the same tokens of each text."""
        return Tokens(self.kinds[:, tokens], self.words[:, tokens], self.places[:, tokens])

    def rows(self, index: Tensor) -> "Tokens":
        """Select texts."""
        return Tokens(*(ids.index_select(0, index) for ids in vars(self).values()))

    @classmethod
    def of(cls, tag_ids: Tensor, word_ids: Tensor, sink_tokens: int) -> "Tokens":
        """Make them from an annotation."""
        places = torch.arange(tag_ids.shape[1], dtype=torch.int32, device=tag_ids.device)
        return cls(kinds_of(tag_ids, sink_tokens), word_ids.int(), places.expand_as(tag_ids))

    @classmethod
    def free(cls, batch: int, count: int, device: torch.device) -> "Tokens":
        """Make slots that nobody reads."""
        none = torch.full((batch, count), -1, dtype=torch.int32, device=device)
        return cls(torch.full_like(none, NOBODY), none, none)

    @classmethod
    def joined(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """Join tokens of the same texts."""
        return cls(*(torch.cat(ids, 1) for ids in zip(*(vars(part).values() for part in parts), strict=True)))


@dataclass(frozen=True, eq=False)
class Run:
    """The slots of a pattern under a window of `left` tokens (None: any): `kept` from `start`, then those since."""

    pattern: int
    left: int | None
    start: int = 0
    kept: int = 0

    def slots(self, fresh: int) -> slice:
        """Return its slots, with those of `fresh` tokens."""
        return slice(self.start, self.start + self.kept + fresh)


def later_tokens(patterns: Patterns, run: Run, tokens: Tokens, seen: int, last_words: Tensor) -> Tensor:
    """Return which tokens may be read after `seen` of them, whose last words are (batch, 1): their indices.

    int64 (batch, the most of a text), in order; -1 where a text has fewer.
    """
    kept = may_be_read(patterns, run, tokens, seen, last_words)
    return pad_sequence([row.nonzero().flatten() for row in kept], batch_first=True, padding_value=-1)


def may_be_read(patterns: Patterns, run: Run, tokens: Tokens, seen: int, last_words: Tensor) -> Tensor:
    """Tell which tokens may be read after `seen` of them, whose last words are (batch, 1): bool (batch, tokens)."""
    behind = (tokens.words - last_words).masked_fill_(tokens.words < 0, _BEFORE)
    kept = behind >= patterns.nearest[run.pattern][tokens.kinds]
    if run.left is not None:
        kept &= tokens.places >= seen - run.left
    return kept
