"""One layer of a cache that lets keys go: the keys and values of all its heads in one row of slots."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from ..attention.kept.slots import Run
from ..errors import ModelError


@dataclass(frozen=True)
class Part:
    """`count` key-value heads from `first` on that have the same run: `size` slots each, behind each other."""

    run: int
    first: int
    count: int
    begin: int = 0
    size: int = 0


class KeptLayer(CacheLayerMixin):
    """The keys and values of a layer, (batch, slots, head_dim), and the parts that the slots are in.

    `update` hands on the new ones, which are put into slots where attention reads them.
    """

    supports_early_init = False
    keys: Tensor
    values: Tensor

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reset()

    def reset(self) -> None:
        """Forget all tokens."""
        self.keys = self.values = self._next = torch.zeros(0)
        self.parts: list[Part] = []
        self.seen = 0
        self.is_open = False

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Hand the new keys and values on to the guided attention."""
        if not self.is_open:
            raise ModelError("a GrammarCache works in the guided model that it was made for, and in no other")
        self.seen += key_states.shape[2]
        return key_states, value_states

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Do nothing: the first keys that are kept make what is needed."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the places that a mask speaks of, those of the whole text, and that none before them is missing."""
        return self.seen + query_length, 0

    def get_seq_length(self) -> int:
        """Return how many tokens were read."""
        return self.seen

    def get_max_length(self) -> int:
        """Return -1: it has no end."""
        return -1

    def fill(self, parts: Sequence[tuple[Part, Tensor]], room: int, key: Tensor, value: Tensor) -> None:
        """Take of (batch, key-value heads, tokens, head_dim) those tokens of each text that each part begins with."""
        self.parts = [part for part, _ in parts]
        self.keys, self.values = (
            torch.cat(
                [_taken(states.detach().narrow(1, part.first, part.count), index, room) for part, index in parts], 1
            )
            for states in (key, value)
        )
        self._number([index.shape[1] for _, index in parts], room)

    def let_go(self, runs: Sequence[Run], stay: Sequence[Tensor], room: int) -> None:
        """Go on with the slots of each run (batch, some) that stay, and room for others."""
        self.keys, self.values = (
            torch.cat([_taken(self._of(part, states), stay[part.run], room) for part in self.parts], 1)
            for states in (self.keys, self.values)
        )
        self._number([runs[part.run].kept for part in self.parts], room)

    def add(self, fresh: int, key: Tensor, value: Tensor) -> None:
        """Put the keys and values of new tokens behind `fresh` other ones."""
        tokens = key.shape[2]
        index = self._next + fresh
        if tokens > 1:
            index = (index[:, None] + torch.arange(tokens, device=index.device)).flatten()
        self.keys.index_copy_(1, index, key.flatten(1, 2))
        self.values.index_copy_(1, index, value.flatten(1, 2))

    def read(self, part: Part, slots: int) -> Iterator[Tensor]:
        """Yield the keys and the values of a part, those in its first slots: (batch, heads, slots, head_dim)."""
        for states in (self.keys, self.values):
            yield self._of(part, states).narrow(2, 0, slots)

    def select(self, rows: Tensor) -> None:
        """Go on with some of the texts."""
        self.keys, self.values = (states.index_select(0, rows) for states in (self.keys, self.values))

    @property
    def nbytes(self) -> int:
        """The memory of its keys and values, in bytes."""
        return self.keys.nbytes + self.values.nbytes

    @property
    def nbytes_of_token(self) -> int:
        """What one more token takes in all texts where nothing is let go."""
        return self.nbytes // self.keys.shape[1] * len(self._next) if self.parts else 0

    def _of(self, part: Part, states: Tensor) -> Tensor:
        """Return a part's keys or values: (batch, heads, slots, head_dim)."""
        lying = states.narrow(1, part.begin, part.count * part.size)
        return lying.view(len(states), part.count, part.size, -1)

    def _number(self, kept: Sequence[int], room: int) -> None:
        """Note where each part begins, whose runs have `kept` slots and room, and each head's first free slot."""
        begin, free = 0, []
        for number, (part, count) in enumerate(zip(self.parts, kept, strict=True)):
            self.parts[number] = replace(part, begin=begin, size=count + room)
            free += [begin + head * (count + room) + count for head in range(part.count)]
            begin += part.count * (count + room)
        self._next = torch.tensor(free, device=self.keys.device)


def _taken(states: Tensor, index: Tensor, room: int) -> Tensor:
    """Take of (batch, heads, tokens, head_dim) the tokens of each text at `index` (batch, some), with room for more.

    Where `index` is -1, a token stands that nobody reads: any number, as its weight is 0. Heads lie behind each other.
    """
    batch, heads, _, width = states.shape
    chosen = states.new_zeros(batch, heads, index.shape[1] + room, width)
    for own, text, which in zip(chosen, states, index.clamp(min=0), strict=True):
        torch.index_select(text, 1, which, out=own[:, : len(which)])
    return chosen.flatten(1, 2)
