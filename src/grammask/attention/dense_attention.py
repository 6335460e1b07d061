"""The dense path: PyTorch's own attention under a plan's mask, which is never larger than it must be.

A mask that all heads and layers share is made once. One that tells heads apart, mostly another in every layer, is made
for a part of the queries at a time where it is large, and let go: so it stays in the processor's cache, and memory
doesn't grow with layers. A part costs one more call of attention.
"""

from collections.abc import Iterable
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .parts import Part, parts_of
from .plan import Plan
from .plan_checks import says_padding
from .position_mask import PositionMask

# Where the masks of all layers have more cells than this, 1 GiB in float32, a backward pass doesn't hold them, but
# computes the attention once more.
_HELD: Final[int] = 1 << 28


def dense_attention(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, layer: int, model_mask: Tensor | None,
    position: PositionMask, *, scale: float, dropout: float,
) -> Tensor:  # fmt: skip
    """Return attention (batch, heads, queries, head_dim) in one layer of a plan; see `functional.attend`."""
    attend = partial(
        _attend, plan=plan, layer=layer, model_mask=model_mask, position=position, scale=scale, dropout=dropout,
        queries=query.shape[2],
    )  # fmt: skip
    cells = plan.cells(layer, query.shape[2])
    parts = parts_of(cells, query.shape[0], query.shape[2])
    if len(parts) == 1:
        return attend(query, key, value, part=parts[0])
    recorded = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (query, key, value))
    if recorded and cells * len(plan.layer_tables) > _HELD:
        attend = partial(checkpoint, attend, use_reentrant=False)
    outputs = (
        (part, attend(query[part.texts, :, part.rows], key[part.texts], value[part.texts], part=part)) for part in parts
    )
    return _joined(outputs) if recorded else _written(outputs, query, value.shape[-1])


def _joined(outputs: Iterable[tuple[Part, Tensor]]) -> Tensor:
    """Join parts, in the order in which attention lays out its results, so that the model's transposing is free."""
    by_text: dict[int, list[Tensor]] = {}
    for part, output in outputs:
        by_text.setdefault(part.texts.start, []).append(output.transpose(1, 2))
    return torch.cat([torch.cat(of_rows, 1) for of_rows in by_text.values()]).transpose(1, 2)


def _written(outputs: Iterable[tuple[Part, Tensor]], query: Tensor, width: int) -> Tensor:
    """Join parts as they come: a small result between large masks keeps the allocator from using their memory again."""
    joined: Tensor | None = None
    for part, output in outputs:
        if joined is None:  # autocast decides on the dtype
            batch, heads, length, _ = query.shape
            joined = output.new_empty(batch, length, heads, width).transpose(1, 2)
        joined[part.texts, :, part.rows] = output
    assert joined is not None  # noqa: S101 - a batch has parts
    return joined


def _attend(
    query: Tensor, key: Tensor, value: Tensor, *, plan: Plan, layer: int, model_mask: Tensor | None,
    position: PositionMask, queries: int, scale: float, dropout: float, part: Part,
) -> Tensor:  # fmt: skip
    if plan.adds_nothing(layer) and position.is_free and says_padding(plan, model_mask):
        mask = None if plan.padding is None else model_mask
    else:
        mask = plan.mask(layer, model_mask, query.dtype, position, queries=queries, part=part)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale, enable_gqa=key.shape[1] < query.shape[1]
    )
