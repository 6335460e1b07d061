"""Attention of the last tokens of a text, in which a gate of each head weighs what it would read one way or another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from ..attention.position_mask import PositionMask
from ..errors import ModelError
from ..model.model_mask import read_mask_function

NAME: Final[str] = "grammask_gates"
_FOREIGN: Final[tuple[str, ...]] = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True, eq=False)
class Read:
    """The keys that queries of one read see: `places` (some,) before the first query, and `allowed` among them.

    `allowed`, bool (queries, some + queries), goes on with the queries' own keys.
    """

    places: Tensor
    allowed: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> "Read":
        """Return the read of a mask (queries, keys), whose last keys are those of the queries."""
        first = mask.shape[1] - len(mask)
        places = mask[:, :first].any(0).nonzero().flatten()
        return cls(places, torch.cat((mask[:, places], mask[:, first:]), 1))


@dataclass(frozen=True, eq=False)
class GatedPass:
    """What heads read in one pass: `gates` (layers, heads, reads) weigh the outputs of `reads`, each an own softmax.

    `before` are the keys and values of each layer that stand before the pass, (1, key-value heads, keys, head_dim).
    """

    gates: Tensor
    reads: Sequence[Read]
    before: Sequence[tuple[Tensor, Tensor]]


def register() -> None:
    """Make `NAME` known to transformers; doing it again changes nothing."""
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _check_causal)


def _check_causal(*, mask_function: Callable[..., Any], **_: Any) -> None:
    if read_mask_function(mask_function) != PositionMask(causal=True):
        raise ModelError(
            "--from loss is for causal language models that read the whole text before a token, but this model's own "
            "mask is another one; use --from attention"
        )


def _attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: None,
    scaling: float | None = None, dropout: float = 0.0, gated_pass: GatedPass | None = None, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    name, layer = type(module).__name__, getattr(module, "layer_idx", None)
    if gated_pass is None or layer is None or any(kwargs.get(argument) is not None for argument in _FOREIGN):
        raise ModelError(
            f"--from loss cannot follow {name}: it hides its layer or its inputs, or changes its scores in its own way"
        )
    shared = query.shape[1] // key.shape[1]
    output = torch.zeros_like(query)
    for gates, read in zip(gated_pass.gates[layer].unbind(-1), gated_pass.reads, strict=True):
        if gates.any():
            # Taken from what needs no gradient: nothing is scattered back.
            before = (states[:, :, read.places] for states in gated_pass.before[layer])
            keys, values = (
                torch.cat((some, own), 2).repeat_interleave(shared, 1)
                for some, own in zip(before, (key, value), strict=True)
            )
            of_read = scaled_dot_product_attention(query, keys, values, attn_mask=read.allowed, scale=scaling)
            output = output + gates[:, None, None] * of_read
    return output.transpose(1, 2), None
