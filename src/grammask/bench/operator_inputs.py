"""The tensors of an operator case: random queries, keys and values over the tags of real text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..attention.density import count_allowed
from ..attention.inputs import Annotation
from ..grammar.grammar import Grammar
from ..grammar.tables import ReachTables, compile_layers
from .contender import Outputs
from .settings import Guided


@dataclass(frozen=True, eq=False)
class OperatorInputs:
    """What all contenders of an operator case are given. No text is padded, so full attention needs no mask.

    `query`, `key` and `value` are (batch, heads, length, head_dim); `gradient`, of the same shape, is that of the
    output in training, None in a forward pass. `annotation` holds tag_ids, word_ids and sentence_ids (batch, length).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    gradient: Tensor | None
    annotation: Mapping[str, Tensor]
    grammar: Grammar
    strategy: Guided

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, length and head_dim."""
        batch, heads, length, head_dim = self.query.shape
        return batch, heads, length, head_dim

    @cached_property
    def tables(self) -> tuple[ReachTables, ...]:
        """The grammar, compiled for its first layer."""
        return compile_layers(self.grammar, layers=1, heads=self.shape[1])[0]

    def attend(self, attention: Callable[[], Tensor]) -> Callable[[], Outputs]:
        """Wrap `attention`, which reads these tensors, into a forward or a training pass."""
        return one_pass(attention, (self.query, self.key, self.value), self.gradient)


def one_pass(
    attention: Callable[[], Tensor], inputs: tuple[Tensor, Tensor, Tensor], gradient: Tensor | None
) -> Callable[[], Outputs]:
    """Return a call that runs `attention` forward, or forward and backward where there is a `gradient`."""

    def forward() -> Outputs:
        with torch.no_grad():
            return (attention(),)

    def training() -> Outputs:
        output = attention()
        return (output.detach(), *torch.autograd.grad(output, inputs, gradient))

    return forward if gradient is None else training


def make_inputs(
    annotation: Mapping[str, Tensor],
    *,
    grammar: Grammar,
    strategy: Guided,
    training: bool,
    heads: int,
    head_dim: int,
    dtype: torch.dtype,
    seed: int,
) -> OperatorInputs:
    """Draw the tensors of a case over the annotation of real text."""
    batch, length = annotation["tag_ids"].shape
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, heads, length, head_dim)
    query, key, value, gradient = (torch.randn(shape, generator=generator).to(dtype) for _ in range(4))
    for tensor in (query, key, value):
        tensor.requires_grad_(training)
    return OperatorInputs(query, key, value, gradient if training else None, annotation, grammar, strategy)


def density(inputs: OperatorInputs) -> float:
    """Return the share of pairs that must be computed: the allowed ones under hard, all of them under soft."""
    if inputs.strategy == "soft":
        return 1.0
    return count_allowed(inputs.tables, Annotation(**inputs.annotation)).density
