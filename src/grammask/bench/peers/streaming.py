"""A causal window and the first tokens, StreamingLLM's pattern, at the grammar's density (Xiao and others 2024)."""

from bisect import bisect_left
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...attention.position_mask import PositionMask
from ..contender import CannotRunError, Ready
from ..operator_inputs import OperatorInputs
from .own_pattern import check_pattern

FIRST: Final[int] = 4  # tokens that everybody reads, as many as the paper's
_CHUNKS: Final[dict[int, int]] = {512: 256, 128: 128, 0: 64}  # queries at a time, from a window of so many tokens on


def streaming(inputs: OperatorInputs, density: float) -> Ready:
    """Attend in chunks of queries, each to its window and the first tokens, by one call of PyTorch's fused kernel."""
    check_pattern(inputs, PositionMask(causal=True))
    length = inputs.shape[2]
    window = choose_causal_window(length, density)
    chunk = next(queries for least, queries in _CHUNKS.items() if window >= least)
    starts = range(0, length, chunk)
    first = [max(0, start - window + 1) // chunk for start in starts]  # the first chunk of keys that each one reads
    masks = [_mask(length, window, start, chunk, skipped * chunk) for start, skipped in zip(starts, first, strict=True)]

    def attention() -> Tensor:
        key, value = inputs.repeated(inputs.key, inputs.value)
        queries, keys, values = (torch.split(tensor, chunk, dim=2) for tensor in (inputs.query, key, value))
        outputs = [
            F.scaled_dot_product_attention(
                query, _read(keys, skipped, number), _read(values, skipped, number), attn_mask=mask
            )
            for number, (query, skipped, mask) in enumerate(zip(queries, first, masks, strict=True))
        ]
        return torch.cat(outputs, dim=2)

    facts = {
        "own_density": streaming_pairs(length, window) / length**2,
        "note": f"window {window}, the query's own token included, and the first {FIRST} tokens",
    }
    return Ready(inputs.attend(attention), facts=facts)


def choose_causal_window(length: int, density: float) -> int:
    """Return the window, in tokens up to a query's own, that comes nearest to `density` of all pairs."""
    wanted = round(density * length**2)

    def pairs(window: int) -> int:
        return streaming_pairs(length, window)

    if wanted < pairs(1) or wanted > pairs(length):
        raise CannotRunError(f"no causal window of {length} tokens comes near the density {density:.4f}")
    found = bisect_left(range(1, length + 1), wanted, key=pairs) + 1
    return min((found, max(found - 1, 1)), key=lambda window: abs(pairs(window) - wanted))


def streaming_pairs(length: int, window: int) -> int:
    """Return how many pairs a window and the first tokens make."""
    before = np.arange(1, length + 1)  # tokens up to each query's own
    return int((before.clip(max=window) + (before - window).clip(0, FIRST)).sum())


def _read(parts: tuple[Tensor, ...], skipped: int, number: int) -> Tensor:
    """Return what a chunk of queries reads: the chunks of its window, before them the first tokens."""
    sinks = [parts[0][:, :, :FIRST]] if skipped else []
    return torch.cat([*sinks, *parts[skipped : number + 1]], dim=2)


def _mask(length: int, window: int, start: int, chunk: int, skipped: int) -> Tensor:
    """Return which of the keys that `_read` gives each query of a chunk reads: bool (queries, keys)."""
    stop = min(start + chunk, length)
    query = torch.arange(start, stop)[:, None]
    sinks = torch.arange(FIRST if skipped else 0)
    key = torch.cat([sinks, torch.arange(skipped, stop)])
    return (key <= query) & ((key > query - window) | (key < FIRST))
