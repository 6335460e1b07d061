"""PyTorch's own attention: full, which everything is compared with, and full under the grammar's dense mask."""

from typing import Final

import psutil
import torch
from torch import Tensor
from torch.nn import functional as F

from ...grammar.masks import allowed_pairs, pair_strengths
from ..contender import CannotRunError, Ready, median_seconds
from ..operator_inputs import Setting

_BYTES_PER_PAIR: Final[int] = 24  # what the making of a dense mask holds at once: offsets, comparisons, the mask


def full(setting: Setting) -> Ready:
    """Fused attention over all pairs, without any mask."""

    def attention() -> Tensor:
        return F.scaled_dot_product_attention(setting.query, setting.key, setting.value)

    return Ready(setting.attend(attention))


def dense_masked(setting: Setting, *, measured: bool = True) -> Ready:
    """Fused attention under the grammar's bool mask (hard) or float bias (soft); `measured` times its making."""
    batch, _, length, _ = setting.shape
    check_memory(batch * length**2 * _BYTES_PER_PAIR, "its mask")
    mask = dense_mask(setting)

    def attention() -> Tensor:
        return F.scaled_dot_product_attention(setting.query, setting.key, setting.value, attn_mask=mask)

    planning = median_seconds(lambda: dense_mask(setting)) if measured else None
    return Ready(setting.attend(attention), exact=True, facts={"planning_seconds": planning})


def dense_mask(setting: Setting) -> Tensor:
    """Return the dense mask or bias of a setting: (batch, heads or 1, length, length)."""
    make = allowed_pairs if setting.strategy == "hard" else pair_strengths
    mask = make(setting.tables, **setting.annotation)
    return mask if mask.dtype == torch.bool else mask.to(setting.query.dtype)


def check_memory(needed: int, what: str) -> None:
    """Raise `CannotRunError` where `needed` bytes are more than half of what is free: a killed run tells nothing."""
    free = psutil.virtual_memory().available
    if needed > free / 2:
        raise CannotRunError(
            f"{what} would take {needed / 2**30:.1f} GiB, more than half of the {free / 2**30:.1f} GiB that are free"
        )
