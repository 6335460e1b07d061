"""The queries or the keys of a call in the order in which FlexAttention takes them, and what its blocks of them hold.

Nothing here reads a number out of a tensor: on a GPU that would wait for all that is queued there.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from ...grammar.masks import first_tokens
from ...grammar.rules import Reach
from ...grammar.tags import PAD, TAGS
from ..blocks.tokens import Tokens
from ..inputs import Annotation

BLOCK: Final[int] = 128  # tokens of a block; PyTorch's backward pass takes no smaller ones
_NONE: Final[int] = 1 << 29  # beyond every place, word and sentence


@dataclass(frozen=True, eq=False)
class Side:
    """Tokens of each text, all int32 (batch, tokens): their `places` in the batch, tags, words and sentences.

    `own` numbers what a token reads whatever the rules are: its word, or itself where it belongs to none. Numbers that
    mean "none" differ between queries and keys. `sinks` (bool) marks the first tokens, which all may read.
    """

    places: Tensor
    tags: Tensor
    words: Tensor
    own: Tensor
    sentences: Tensor | None
    sinks: Tensor

    def at(self, order: Tensor) -> "Side":
        """Return the tokens in another order: int64 (batch, tokens)."""
        changed = {name: value.gather(1, order) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **changed)

    def last(self, count: int) -> "Side":
        """Return the tokens at the last `count` places, where all are in reading order."""
        first = self.places.shape[1] - count
        changed = {name: value[:, first:] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **changed) if first else self

    @property
    def real(self) -> Tensor:
        """Which tokens are no padding."""
        return self.tags != PAD

    @cached_property
    def has_real(self) -> Tensor:
        """Which blocks hold a real token: bool (batch, blocks)."""
        return in_blocks(self.real, fill=False).any(-1)

    def numbers(self, reach: Reach) -> tuple[Tensor, Tensor]:
        """Return the numbers that a bounded reach compares, and which tokens have one: (batch, tokens) each."""
        if reach.kind == "words":
            return self.words, self.words.abs() < _NONE
        assert self.sentences is not None  # noqa: S101 - a grammar with sentence reach asks for them
        return self.sentences, self.sentences >= 0

    def counts(self, counted: Tensor) -> Tensor:
        """Count the tokens of each tag in each block among those `counted`: float32 (batch, blocks, tags)."""
        tags, ones = in_blocks(self.tags.long(), fill=PAD), in_blocks(counted.float(), fill=0)
        return ones.new_zeros(*tags.shape[:2], len(TAGS)).scatter_add_(2, tags, ones)


def bounds_of(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest of the `known` values (batch, tokens) of each block: (batch, blocks) each."""
    least = in_blocks(values.masked_fill(~known, _NONE), fill=_NONE).amin(-1)
    return least, in_blocks(values.masked_fill(~known, -_NONE), fill=-_NONE).amax(-1)


def both_sides(annotation: Annotation, sink_tokens: int) -> tuple[Side, Side]:
    """Return a batch's tokens as queries and as keys, in reading order."""
    tags = annotation.tag_ids
    tokens = Tokens.of(tags, annotation.word_ids, annotation.sentence_ids)
    places = torch.arange(tags.shape[1], dtype=torch.int32, device=tags.device).expand_as(tags)
    own = torch.where(annotation.word_ids >= 0, annotation.word_ids, -3 - places).int()
    sinks = first_tokens(tags, sink_tokens)
    padding = tags == PAD
    return (
        Side(places, tokens.tags, tokens.query_words, own.masked_fill(padding, -1), tokens.query_sentences, sinks),
        Side(places, tokens.tags, tokens.key_words, own.masked_fill(padding, -2), tokens.key_sentences, sinks),
    )


def in_blocks(values: Tensor, *, fill: float) -> Tensor:
    """Cut (batch, tokens) into blocks, the last one filled up: (batch, blocks, BLOCK)."""
    missing = -values.shape[1] % BLOCK
    filled = torch.nn.functional.pad(values, (0, missing), value=fill) if missing else values
    return filled.reshape(len(values), -1, BLOCK)
