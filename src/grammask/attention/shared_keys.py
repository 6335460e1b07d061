"""Heads of keys that several heads of queries share, as further texts of a stack: keys are never repeated."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from torch import Tensor


class SharedKeys(NamedTuple):
    """A stack of blocks whose keys have `groups` heads, each shared by as many heads of the queries."""

    stack: int
    groups: int

    @classmethod
    def of(cls, query: Tensor, key: Tensor) -> "SharedKeys":
        """Look at the queries and keys of a block: (stack, heads, ...)."""
        stack, heads = key.shape[:2]
        return cls(stack, heads if heads < query.shape[1] else 1)

    def split(self, *tensors: Tensor | None) -> Iterable[Any]:
        """Turn (stack, heads or 1, ...) into (stack * groups, heads of a group or 1, ...): views of a stack of one."""
        return tensors if self.groups == 1 else map(self._split, tensors)

    def _split(self, tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        every = tensor.expand(-1, self.groups, -1, -1) if tensor.shape[1] == 1 else tensor
        return every.reshape(self.stack * self.groups, every.shape[1] // self.groups, *every.shape[2:])

    def join(self, *tensors: Tensor) -> Iterable[Tensor]:
        """Turn what came of it back into (stack, heads, ...)."""
        return tensors if self.groups == 1 else map(self._join, tensors)

    def _join(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(self.stack, self.groups * tensor.shape[1], *tensor.shape[2:])
