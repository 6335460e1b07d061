"""PyTorch's own attention: full, the baseline of all comparisons, and the same under the grammar's dense mask."""

from typing import Final

import psutil
from torch import Tensor
from torch.nn import functional as F

from ...attention.dense import dense_bias, dense_mask
from ...attention.inputs import Annotation
from ..contender import CannotRunError, Ready, median_seconds
from ..operator_inputs import OperatorInputs

_BYTES_PER_PAIR: Final[int] = 24  # that making a dense mask holds at once: offsets, look-ups, the mask


def full(inputs: OperatorInputs) -> Ready:
    """Fused attention over all pairs, without any mask."""

    def attention() -> Tensor:
        return F.scaled_dot_product_attention(inputs.query, inputs.key, inputs.value)

    return Ready(inputs.attend(attention))


def dense_masked(inputs: OperatorInputs, *, measured: bool = True) -> Ready:
    """Fused attention under the grammar's bool mask (hard) or float bias (soft); `measured` times its making."""
    batch, _, length, _ = inputs.shape
    check_memory(batch * length**2 * _BYTES_PER_PAIR, "its mask")
    mask = _mask(inputs)

    def attention() -> Tensor:
        return F.scaled_dot_product_attention(inputs.query, inputs.key, inputs.value, attn_mask=mask)

    planning = median_seconds(lambda: _mask(inputs)) if measured else None
    return Ready(inputs.attend(attention), exact=True, facts={"planning_seconds": planning})


def _mask(inputs: OperatorInputs) -> Tensor:
    """Return the dense mask or bias of these inputs: (batch, heads or 1, length, length)."""
    annotation = Annotation(**inputs.annotation)
    if inputs.strategy == "hard":
        return dense_mask(inputs.tables, annotation)
    return dense_bias(inputs.tables, annotation).to(inputs.query.dtype)


def check_memory(needed: int, what: str) -> None:
    """Raise `CannotRunError` where `needed` bytes are more than half of what is free: a killed run reports nothing."""
    free = psutil.virtual_memory().available
    if needed > free / 2:
        raise CannotRunError(
            f"{what} would take {needed / 2**30:.1f} GiB, more than half of the {free / 2**30:.1f} GiB that are free"
        )
