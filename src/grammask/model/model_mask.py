"""A model's own mask before it is a tensor: what transformers asks for, read from its arguments.

transformers composes masks of small functions of two places. Those of causality and sliding windows are known by their
code, and say all that a `PositionMask` holds; so no mask of n x n need be made for them. Whatever else a mask is made
of (packed texts, chunks, functions of the caller's) is made in full.
"""

from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.masking_utils import (
    and_masks,
    bidirectional_mask_function,
    causal_mask_function,
    sdpa_mask,
    sliding_window_bidirectional_overlay,
    sliding_window_overlay,
)

from ..attention.plan import Plan
from ..attention.plan_checks import has_padding
from ..attention.position_mask import FREE, PositionMask
from ..attention.tracing import is_tracing
from ..errors import ModelError
from .forward_pass import LostGrammarError

_MaskFunction = Callable[..., Any]
_ANY: Final[int] = 1 << 28  # tokens to a side that no mask of ours bounds


class ModelMask:
    """Stands for the mask that transformers' `sdpa_mask` would make of these `arguments`.

    `position` is what it says beside padding; None where only the whole mask says it. `gone` counts the first tokens
    whose keys a sliding cache let go.
    """

    def __init__(self, position: PositionMask | None, arguments: dict[str, Any]) -> None:
        self.position = position
        self.gone: int = arguments.get("kv_offset", 0)
        self._arguments = arguments
        self._stock: tuple[Tensor | None] | None = None
        self._full: Tensor | None = None
        self._fits: tuple[Plan, bool] | None = None

    @classmethod
    def __torch_function__(cls, *_: Any, **__: Any) -> Any:
        """Raise `ModelError`: attention that isn't ours took it for a tensor."""
        raise LostGrammarError(
            "the mask of a guided model was read by another attention than its own. Was a layer exchanged, or its "
            "attention implementation switched, after grammask.attach? Call grammask.detach(model) first"
        )

    def __getitem__(self, _: object) -> Any:
        """Raise as above: a model that cuts its masks to size can't be guided."""
        return self.__torch_function__()

    def stock(self) -> Tensor | None:
        """Return the stock model's mask: None where it makes none."""
        if self._stock is None:
            self._stock = (sdpa_mask(**self._arguments),)
        return self._stock[0]

    def full(self) -> Tensor:
        """Return the whole mask: bool (batch, 1, queries, keys), True means "may read"."""
        if self._full is None:
            self._full = _whole_mask(self._arguments)
        return self._full

    def fits(self, plan: Plan) -> bool:
        """Tell whether it holds the padding that the plan knows."""
        if self._fits is None or self._fits[0] is not plan:
            self._fits = plan, has_padding(plan, self._arguments["attention_mask"])
        return self._fits[1]


def make_mask(**arguments: Any) -> ModelMask | Tensor:
    """Return the model's own mask: what transformers calls in place of `sdpa_mask`, with its arguments."""
    if is_tracing():
        return _traced_mask(arguments)
    padding: Tensor | None = arguments.get("attention_mask")
    keys, offset = arguments["kv_length"], arguments.get("q_offset", 0)
    if isinstance(offset, Tensor):  # of a static cache, which counts on in it before the mask is asked for
        arguments["q_offset"] = offset = offset.clone()
    # Places are those of the whole text: queries end where keys do. The first `gone` keys a sliding cache let go.
    gone = arguments.get("kv_offset", 0)
    known = offset + arguments["q_length"] == gone + keys and (padding is None or padding.shape[-1] == gone + keys)
    position = read_mask_function(arguments["mask_function"]) if known else None
    if position is not None and gone and (position.left is None or position.left > offset - gone):
        position = None  # a mask that would let the first query read what is gone
    return ModelMask(position, arguments)


def _traced_mask(arguments: Mapping[str, Any]) -> Tensor:
    """Return the mask as a tensor: a trace can't look into functions, and takes the dense path anyway."""
    padding: Tensor | None = arguments.get("attention_mask")
    if arguments["mask_function"] is bidirectional_mask_function and padding is not None:
        return padding.bool()[:, None, None, :]
    return _whole_mask(arguments)


def own_mask(
    mask: ModelMask | Tensor | None, plan: Plan, module: torch.nn.Module, query: Tensor, key: Tensor, *,
    causal: bool | None,
) -> tuple[Tensor | None, PositionMask]:  # fmt: skip
    """Return a layer's own mask as `attend` takes it: what is no more than padding and places, or a tensor.

    `query` and `key` are (batch, heads, length, head_dim). Without a mask stock attention is causal where the call says
    so (`causal`), or else the module.
    """
    if isinstance(mask, ModelMask):
        _check_causal(mask.position, causal, module)
        if plan.strategy == "full":
            return mask.full(), FREE
        if mask.position is None or not mask.fits(plan):
            return F.pad(mask.full(), (mask.gone, 0), value=False), FREE
        return plan.padding, mask.position
    if mask is not None:
        return mask, FREE
    is_causal = getattr(module, "is_causal", True) if causal is None else causal
    position = PositionMask(causal=bool(is_causal) and query.shape[2] > 1)
    if plan.strategy == "full" and position.causal:
        return position.allowed(query.shape[2], key.shape[2], query.device)[None, None], FREE
    return None, position


def _check_causal(position: PositionMask | None, causal: bool | None, module: torch.nn.Module) -> None:
    """Raise `ModelError` where a call asks for another causality than its mask has.

    Stock attention does what the call says where no token is padding, and what the mask says where one is.
    """
    if position is not None and causal is not None and bool(causal) != position.causal:
        raise ModelError(
            f"{type(module).__name__} was called with is_causal={causal}, but the model's mask is "
            f"{'' if position.causal else 'not '}causal; leave is_causal out, or set it in the config"
        )


def read_mask_function(function: _MaskFunction) -> PositionMask | None:
    """Return what a mask function of transformers says of two places; None for one that says anything else."""
    if function is bidirectional_mask_function:
        return FREE
    if function is causal_mask_function:
        return PositionMask(causal=True)
    code = getattr(function, "__code__", None)
    if code is _AND:
        return _both([read_mask_function(part) for part in _held(function)["mask_functions"]])
    make = _OVERLAYS.get(code)
    return None if make is None else _overlay(make, _held(function)["sliding_window"])


def _overlay(make: Callable[[int], _MaskFunction], window: object) -> PositionMask | None:
    """Return what an overlay says, seen at its edges, since `window` may count the query itself or not."""
    if not isinstance(window, int) or not (reads := make(window))(0, 0, 0, 0):
        return None  # a query always reads itself in a `PositionMask`
    left, right = (
        next((tokens for tokens in (_ANY, window + 1, window, window - 1) if reads(0, 0, 0, side * tokens)), None)
        for side in (-1, 1)
    )
    return None if left is None or right is None else PositionMask(window=(left, right))


def _both(found: list[PositionMask | None]) -> PositionMask | None:
    causal, left, right = False, None, None
    for mask in found:
        if mask is None:
            return None
        causal = causal or mask.causal
        if mask.window is not None:
            left = mask.window[0] if left is None else min(left, mask.window[0])
            right = mask.window[1] if right is None else min(right, mask.window[1])
    return PositionMask(causal, None if left is None or right is None else (left, right))


def _held(function: _MaskFunction) -> dict[str, Any]:
    """Return by name what a function holds of the one that made it."""
    names = function.__code__.co_freevars
    return {name: cell.cell_contents for name, cell in zip(names, function.__closure__ or (), strict=True)}


_AND: Final = and_masks().__code__
_OVERLAYS: Final[Mapping[CodeType | None, Callable[[int], _MaskFunction]]] = {
    make(1).__code__: make for make in (sliding_window_overlay, sliding_window_bidirectional_overlay)
}


def _whole_mask(arguments: Mapping[str, Any]) -> Tensor:
    mask = sdpa_mask(**{**arguments, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})
    assert mask is not None  # noqa: S101 - nothing may be skipped
    return mask
