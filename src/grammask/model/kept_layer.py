"""One layer of a cache that lets keys go: the keys and values of all its heads in one row of slots."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from ..errors import ModelError
from .kept_parts import Part, join_heads


class KeptLayer(CacheLayerMixin):
    """The keys and values of a layer, (batch, slots, head_dim), and the parts that the slots are in.

    `runs` is the run of each key-value head. `update` hands on the new keys, which are put into slots where attention
    reads them.
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
        self.runs: tuple[int, ...] = ()
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

    def fill(self, runs: Sequence[int], stay: Sequence[Tensor], room: int, key: Tensor, value: Tensor) -> None:
        """Take of (batch, key-value heads, tokens, head_dim) what each head's run begins with.

        `stay` are the tokens of each run, (batch, some), as in `later_tokens`.
        """
        self.runs = tuple(runs)
        key, value = key.detach(), value.detach()
        self._take(stay, room, lambda head: (key[:, head], value[:, head]))

    def let_go(self, stay: Sequence[Tensor], room: int) -> None:
        """Go on with the slots of each run (batch, some) that stay, and room for others."""
        keys, values, begins = self.keys, self.values, self._begins()
        self._take(stay, room, lambda head: (keys[:, begins[head] :], values[:, begins[head] :]))

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
        batch, _, width = self.keys.shape
        shape, stride = (batch, part.count, slots, width), (self.keys.stride(0), part.size * width, width, 1)
        for states in (self.keys, self.values):
            yield states.as_strided(shape, stride, part.begin * width)

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

    def _take(self, stay: Sequence[Tensor], room: int, states_of: Callable[[int], tuple[Tensor, Tensor]]) -> None:
        """Take what stays of each head's keys and values (batch, tokens, head_dim), with room for more behind it."""
        kept = [stay[run].shape[1] for run in self.runs]
        self.parts = join_heads(self.runs, kept, room)
        begins = self._begins()
        of_heads = [states_of(head) for head in range(len(kept))]
        (batch, _, width), slots = of_heads[0][0].shape, sum(part.count * part.size for part in self.parts)
        # Zeros stand where nobody reads: any number would do, as its weight is 0.
        keys, values = (of_heads[0][0].new_zeros(batch, slots, width) for _ in range(2))
        for run, begin, count, states in zip(self.runs, begins, kept, of_heads, strict=True):
            for text, which in enumerate(stay[run].clamp(min=0)):
                for own, all_slots in zip(states, (keys, values), strict=True):
                    torch.index_select(own[text], 0, which, out=all_slots[text, begin : begin + count])
        self.keys, self.values = keys, values
        self._next = torch.tensor(begins, device=keys.device) + torch.tensor(kept, device=keys.device)

    def _begins(self) -> list[int]:
        """Return the first slot of each head."""
        return [part.begin + head * part.size for part in self.parts for head in range(part.count)]
