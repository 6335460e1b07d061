"""Attention of the last tokens of a text, in which a gate of each head weighs what it would read one way or another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface, AttentionMaskInterface

from ..attention.position_mask import PositionMask
from ..errors import ModelError
from ..model.model_mask import read_mask_function

NAME: Final[str] = "grammask_gates"
_FOREIGN: Final[tuple[str, ...]] = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True, eq=False)
class GatedPass:
    """What heads read in one pass: `gates` (layers, heads, reads) weigh the outputs of reads, each an own softmax.

    `reads`, bool (reads, queries, keys), are the pairs of each; the last one has all pairs of the others. `before` are
    the keys and values of each layer that stand before the pass, (1, key-value heads, keys, head_dim).
    """

    gates: Tensor
    reads: Tensor
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
    keys, values = (torch.cat(states, 2)[0] for states in zip(gated_pass.before[layer], (key, value), strict=True))
    scaled = query.reshape(len(keys), -1, query.shape[-1]) * (scaling or query.shape[-1] ** -0.5)
    # What a pass holds for its gradients are some numbers for each pair and head; they are made again instead.
    inputs = scaled, keys, values, gated_pass.gates[layer], gated_pass.reads
    output = checkpoint(_mix, *inputs, use_reentrant=False, preserve_rng_state=False)
    return output.view_as(query).transpose(1, 2), None


def _mix(query: Tensor, keys: Tensor, values: Tensor, gates: Tensor, reads: Tensor) -> Tensor:
    """Return what heads read, (key-value heads, heads that share one x queries, head_dim), as `query`, which is scaled.

    One product with the keys and one with the values serve all reads: they differ in what a query's weights sum to.
    """
    scores = (query @ keys.mT).view(len(gates), *reads.shape[1:]).masked_fill(~reads[-1], -torch.inf)
    weights = (scores - scores.amax(-1, keepdim=True).detach()).exp().transpose(0, 1)
    pairs = reads.permute(1, 2, 0).to(query.dtype)
    # A read whose keys all weigh less than float32 can tell, beside the heaviest one, gives nothing.
    sums = (weights @ pairs).clamp(min=torch.finfo(query.dtype).tiny)
    mixed = (weights * (gates / sums @ pairs.mT)).transpose(0, 1)
    return mixed.reshape(len(values), -1, values.shape[1]) @ values
