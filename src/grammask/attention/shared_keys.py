"""Heads of keys that several heads of queries share, as further texts of a stack: keys are never repeated."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class SharedKeys:
    """A stack of blocks whose keys have `groups` heads, each shared by as many heads of the queries."""

    stack: int
    groups: int

    @classmethod
    def of(cls, query: Tensor, key: Tensor) -> "SharedKeys":
        """Look at the queries and keys of a block: (stack, heads, ...)."""
        stack, heads = key.shape[:2]
        return cls(stack, heads if heads < query.shape[1] else 1)

    def split(self, *tensors: Tensor | None) -> Iterator[Any]:
        """Turn (stack, heads or 1, ...) into (stack * groups, heads of a group or 1, ...): views of a stack of one."""
        for tensor in tensors:
            if tensor is None or self.groups == 1:
                yield tensor
                continue
            every = tensor.expand(-1, self.groups, -1, -1) if tensor.shape[1] == 1 else tensor
            yield every.reshape(self.stack * self.groups, every.shape[1] // self.groups, *every.shape[2:])

    def join(self, *tensors: Tensor) -> Iterator[Tensor]:
        """Turn what came of it back into (stack, heads, ...)."""
        for tensor in tensors:
            yield tensor.reshape(self.stack, self.groups * tensor.shape[1], *tensor.shape[2:])
