"""Attention in which every head reads less or more; its backward pass tells what reading otherwise would change.

The change is that of the loss to first order in the head's output: the output's gradient times the difference of the
two outputs. Each softmax is exact, which matters: a head that loses the keys it rests on reads the others more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface

from ..attention.position_mask import PositionMask
from ..errors import ModelError
from ..model.model_mask import read_mask_function
from .far_reads import READS

NAME: Final[str] = "grammask_reads"
_ROWS: Final[int] = 64  # queries at a time: their scores stay in the processor's cache
_FOREIGN: Final[tuple[str, ...]] = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True, eq=False)
class ReadingPass:
    """One pass over one text, whose pairs are in `cells` (length, length).

    `chosen` holds for each layer which cells its heads read, bool (heads, cells); `changes` takes for each layer what
    each column of `READS` would change, (heads, reads), when the loss is differentiated.
    """

    cells: Tensor
    chosen: Sequence[Tensor]
    changes: Sequence[Tensor]


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
    scaling: float | None = None, dropout: float = 0.0, reading_pass: ReadingPass | None = None, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    name, layer = type(module).__name__, getattr(module, "layer_idx", None)
    if reading_pass is None or layer is None or any(kwargs.get(argument) is not None for argument in _FOREIGN):
        raise ModelError(
            f"--from loss cannot follow {name}: it hides its layer or its inputs, or changes its scores in its own way"
        )
    shared = query.shape[1] // key.shape[1]
    keys, values = (tensor[0].repeat_interleave(shared, 0) for tensor in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    output: Tensor = _ReadingAttention.apply(query[0], keys, values, reading_pass, layer, scale)
    return output.transpose(0, 1)[None], None


class _ReadingAttention(torch.autograd.Function):
    """Causal attention of one text: (heads, length, head_dim) each."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, reading_pass: ReadingPass, layer: int, scale: float
    ) -> Tensor:
        output, chosen = torch.empty_like(value), reading_pass.chosen[layer]
        lse = query.new_empty(*query.shape[:2], 1)
        for rows in _parts(query.shape[1]):
            scores = _scores(query, key, rows, scale)
            scores.masked_fill_(~_of_pairs(chosen, reading_pass.cells, rows), -math.inf)
            lse[:, rows] = scores.logsumexp(-1, keepdim=True)
            output[:, rows] = scores.sub_(lse[:, rows]).exp_() @ value[:, : rows.stop]
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.reading_pass, ctx.layer, ctx.scale = reading_pass, layer, scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        query, key, value, output, lse = ctx.saved_tensors
        reading_pass: ReadingPass = ctx.reading_pass
        to_query, to_key, to_value = (torch.zeros_like(tensor) for tensor in (query, key, value))
        own = (grad * output).sum(-1, keepdim=True)
        for rows in _parts(query.shape[1]):
            keys = slice(0, rows.stop)
            scores = _scores(query, key, rows, ctx.scale)
            worth = grad[:, rows] @ value[:, keys].transpose(1, 2)
            reading_pass.changes[ctx.layer].add_(_changes(scores, worth, own[:, rows], reading_pass, rows))
            read = _of_pairs(reading_pass.chosen[ctx.layer], reading_pass.cells, rows)
            weights = scores.sub_(lse[:, rows]).exp_().masked_fill_(~read, 0.0)
            to_value[:, keys] += weights.transpose(1, 2) @ grad[:, rows]
            to_scores = weights.mul_(worth.sub_(own[:, rows])).mul_(ctx.scale)
            to_query[:, rows] = to_scores @ key[:, keys]
            to_key[:, keys] += to_scores.transpose(1, 2) @ query[:, rows]
        return to_query, to_key, to_value, None, None, None


def _changes(scores: Tensor, worth: Tensor, own: Tensor, reading_pass: ReadingPass, rows: slice) -> Tensor:
    """Return what each column of `READS` changes, (heads, reads), summed over some queries.

    `scores` and `worth`, the gradient times each key's value, are (heads, rows, keys); `own` is the output's worth.
    """
    heads, queries, keys = scores.shape
    count = len(READS)
    pairs = reading_pass.cells[rows, :keys].long() + torch.arange(queries)[:, None] * count
    pairs = pairs.flatten().expand(heads, -1)
    weights = (scores - scores.amax(-1, keepdim=True)).exp_()
    sums = [
        torch.zeros(heads, queries * count).scatter_add_(1, pairs, tensor.flatten(1)).view(heads, queries, count)
        for tensor in (weights * worth, weights)
    ]
    worths, totals = (part @ READS for part in sums)
    return (worths / totals.clamp_min_(torch.finfo(totals.dtype).tiny) - own).sum(1)


def _parts(length: int) -> list[slice]:
    return [slice(start, min(length, start + _ROWS)) for start in range(0, length, _ROWS)]


def _scores(query: Tensor, key: Tensor, rows: slice, scale: float) -> Tensor:
    """Return the scores (heads, rows, keys) of some queries, of the keys up to the last of them."""
    scores = query[:, rows] @ key[:, : rows.stop].transpose(1, 2) * scale
    later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(rows.start + 1)
    return scores.masked_fill_(later, -math.inf)


def _of_pairs(of_cells: Tensor, cells: Tensor, rows: slice) -> Tensor:
    """Return what a tensor (heads, cells) says of each pair of some queries: (heads, rows, keys)."""
    pairs = cells[rows, : rows.stop].long()
    return of_cells[:, pairs.flatten()].view(-1, *pairs.shape)
