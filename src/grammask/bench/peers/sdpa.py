"""PyTorch's own attention: full, the baseline of all comparisons, and the same under the grammar's dense mask."""

from collections.abc import Callable
from functools import partial
from typing import Final

import psutil
from torch import Tensor
from torch.nn import functional as F

from ...attention.dense import dense_bias, dense_mask
from ...attention.inputs import Annotation
from ...grammar.masks import merge_masks
from ..contender import CannotRunError, Ready, median_seconds
from ..operator_inputs import OperatorInputs

_BYTES_PER_PAIR: Final[int] = 24  # that making a dense mask holds at once: offsets, look-ups, the mask


def full(inputs: OperatorInputs, *, measured: bool = True) -> Ready:
    """Fused attention over all pairs, as transformers calls it: causality as a flag, a window as a mask.

    `measured` times the making of that mask. Keys of fewer heads are repeated where there is a mask.
    """
    if inputs.position.window is not None:
        return _masked(inputs, partial(_own_mask, inputs), exact=False, measured=measured)

    def attention() -> Tensor:
        return F.scaled_dot_product_attention(
            inputs.query, inputs.key, inputs.value, is_causal=inputs.position.causal, enable_gqa=inputs.groups > 1
        )

    return Ready(inputs.attend(attention))


def dense_masked(inputs: OperatorInputs, *, measured: bool = True) -> Ready:
    """Fused attention under the grammar's bool mask (hard) or float bias (soft); `measured` times its making."""
    batch, _, length, _ = inputs.shape
    check_memory(batch * length**2 * _BYTES_PER_PAIR, "its mask")
    return _masked(inputs, partial(_grammar_mask, inputs), exact=True, measured=measured)


def _masked(inputs: OperatorInputs, make: Callable[[], Tensor], *, exact: bool, measured: bool) -> Ready:
    mask = make()

    def attention() -> Tensor:
        key, value = inputs.repeated(inputs.key, inputs.value)
        return F.scaled_dot_product_attention(inputs.query, key, value, attn_mask=mask)

    planning = median_seconds(make) if measured else None
    return Ready(inputs.attend(attention), exact=exact, facts={"planning_seconds": planning})


def _own_mask(inputs: OperatorInputs) -> Tensor:
    """Return the model's own mask: bool (batch, 1, length, length)."""
    batch, _, length, _ = inputs.shape
    return inputs.position.allowed(length, length, inputs.query.device).expand(batch, 1, length, length)


def _grammar_mask(inputs: OperatorInputs) -> Tensor:
    """Return the dense mask or bias of these inputs: (batch, heads or 1, length, length)."""
    annotation = Annotation(**inputs.annotation)
    own = None if inputs.position.is_free else _own_mask(inputs)
    if inputs.strategy == "hard":
        return merge_masks(dense_mask(inputs.tables, annotation), own)
    return merge_masks(dense_bias(inputs.tables, annotation).to(inputs.query.dtype), own)


def check_memory(needed: int, what: str) -> None:
    """Raise `CannotRunError` where `needed` bytes are more than half of what is free: a killed run reports nothing."""
    free = psutil.virtual_memory().available
    if needed > free / 2:
        raise CannotRunError(
            f"{what} would take {needed / 2**30:.1f} GiB, more than half of the {free / 2**30:.1f} GiB that are free"
        )
