"""The tensors of an operator case: random queries, keys and values over the tags of real text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import repeat_kv

from ..attention.density import count_allowed
from ..attention.inputs import Annotation
from ..attention.position_mask import PositionMask
from ..grammar.grammar import Grammar
from ..grammar.tables import ReachTables, compile_layers
from .contender import Outputs
from .model_masks import pairs_computed, pairs_within, read_mask
from .settings import Guided


@dataclass(frozen=True, eq=False)
class OperatorInputs:
    """What all contenders of an operator case are given. No text is padded, so full attention needs no mask.

    `query` is (batch, heads, length, head_dim), `key` and `value` have as many heads or fewer; `gradient`, of the
    query's shape, is that of the output in training, None in a forward pass. `annotation` holds tag_ids, word_ids and
    sentence_ids (batch, length). `position` is the model's own mask, `layer` the one whose rules are taken.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    gradient: Tensor | None
    annotation: Mapping[str, Tensor]
    grammar: Grammar
    strategy: Guided
    layer: int
    position: PositionMask

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, length and head_dim."""
        batch, heads, length, head_dim = self.query.shape
        return batch, heads, length, head_dim

    @cached_property
    def tables(self) -> tuple[ReachTables, ...]:
        """The grammar, compiled for the layer."""
        return compile_layers(self.grammar, layers=self.layers, heads=self.shape[1])[self.layer]

    @property
    def layers(self) -> int:
        """How many layers a model has that has the layer, and all that the grammar names."""
        return max(self.layer + 1, self.grammar.layers_named)

    @property
    def groups(self) -> int:
        """How many heads of the query read the same keys."""
        return self.query.shape[1] // self.key.shape[1]

    def repeated(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return keys or values with as many heads as the query, for what takes no fewer."""
        return tuple(repeat_kv(tensor, self.groups) for tensor in tensors)

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
    layer: int,
    mask: str,
    heads: int,
    key_heads: int,
    head_dim: int,
    dtype: torch.dtype,
    seed: int,
    device: str = "cpu",
) -> OperatorInputs:
    """Draw the tensors of a case over the annotation of real text; `mask` is a name."""
    batch, length = annotation["tag_ids"].shape
    generator = torch.Generator().manual_seed(seed)
    query, key, value, gradient = (
        torch.randn((batch, count, length, head_dim), generator=generator).to(device, dtype)
        for count in (heads, key_heads, key_heads, heads)
    )
    for tensor in (query, key, value):
        tensor.requires_grad_(training)
    return OperatorInputs(
        query,
        key,
        value,
        gradient if training else None,
        {name: ids.to(device) for name, ids in annotation.items()},
        grammar,
        strategy,
        layer,
        read_mask(mask),
    )


def density(inputs: OperatorInputs) -> float:
    """Return the share of all pairs that must be computed: the allowed ones under hard, the mask's under soft."""
    if inputs.strategy == "soft":
        length = inputs.shape[2]
        return pairs_within(inputs.position, length) / length**2
    return count_allowed(inputs.tables, Annotation(**inputs.annotation), inputs.position).density


def ideal_speedup(inputs: OperatorInputs, share: float) -> float:
    """Return the speed-up over full attention of what computes no other pairs than this share of all."""
    length = inputs.shape[2]
    return pairs_computed(inputs.position, length) / (share * length**2)
