"""A model's own mask before it is a tensor: what transformers asks for, read from its arguments.

transformers composes masks of small functions of two places. Those of causality and sliding windows are known by their
code, and say all that a `PositionMask` holds; so no mask of n x n need be made for them. Whatever else a mask is made
of (packed texts, chunks, functions of the caller's) is made in full.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any, Final

import torch
from torch import Tensor
from transformers.masking_utils import (
    and_masks,
    bidirectional_mask_function,
    causal_mask_function,
    sdpa_mask,
    sliding_window_bidirectional_overlay,
    sliding_window_overlay,
)

from ..attention.plan import Plan
from ..attention.position_mask import FREE, PositionMask
from ..attention.tracing import is_tracing
from ..errors import ModelError

_MaskFunction = Callable[..., Any]
_ANY: Final[int] = 1 << 28  # tokens to a side that no mask of ours bounds


class ModelMask:
    """Stands for the mask that transformers' `sdpa_mask` would make of these `arguments`.

    `position` is what it says beside padding.
    """

    def __init__(self, position: PositionMask, arguments: dict[str, Any]) -> None:
        self.position = position
        self._arguments = arguments
        self._full: Tensor | None = None
        self._fits: tuple[Plan, bool] | None = None

    @classmethod
    def __torch_function__(cls, *_: Any, **__: Any) -> Any:
        """Raise `ModelError`: attention that isn't ours took it for a tensor."""
        raise ModelError(
            "the mask of a guided model was read by another attention than its own: some attention went past the "
            "grammar. Was a layer exchanged, or its attention implementation switched, after grammask.attach? Call "
            "grammask.detach(model) first"
        )

    def __getitem__(self, _: object) -> Any:
        """Raise as above: a model that cuts its masks to size can't be guided."""
        return self.__torch_function__()

    def stock(self) -> Tensor | None:
        """Return the stock model's mask: None where it makes none."""
        mask: Tensor | None = sdpa_mask(**self._arguments)
        return mask

    def full(self) -> Tensor:
        """Return the whole mask: bool (batch, 1, queries, keys), True means "may read"."""
        if self._full is None:
            self._full = _whole_mask(self._arguments)
        return self._full

    def fits(self, plan: Plan) -> bool:
        """Tell whether it holds the padding that the plan knows."""
        if self._fits is None or self._fits[0] is not plan:
            self._fits = plan, _same_padding(self._arguments["attention_mask"], plan)
        return self._fits[1]


def make_mask(**arguments: Any) -> ModelMask | Tensor:
    """Return the model's own mask: what transformers calls in place of `sdpa_mask`, with its arguments."""
    if is_tracing():
        return _traced_mask(arguments)
    position = read_mask_function(arguments["mask_function"])
    padding: Tensor | None = arguments.get("attention_mask")
    keys = arguments["kv_length"]
    ends_together = _offset(arguments, "q") + arguments["q_length"] == _offset(arguments, "kv") + keys
    if position is None or not ends_together or not (padding is None or padding.shape[-1] == keys):
        return _whole_mask(arguments)
    return ModelMask(position, {**arguments, "attention_mask": padding})


def _traced_mask(arguments: Mapping[str, Any]) -> Tensor:
    """Return the mask as a tensor: a trace can't look into functions, and takes the dense path anyway."""
    padding: Tensor | None = arguments.get("attention_mask")
    if arguments["mask_function"] is bidirectional_mask_function and padding is not None:
        return padding.bool()[:, None, None, :]
    return _whole_mask(arguments)


def own_mask(
    mask: ModelMask | Tensor | None, plan: Plan, module: torch.nn.Module, *, queries: int, causal: bool | None
) -> tuple[Tensor | None, PositionMask]:
    """Return a layer's own mask as `attend` takes it: what is no more than padding and places, or a tensor.

    Without a mask stock attention is causal where the module says so, or the call does (`causal`).
    """
    if isinstance(mask, ModelMask):
        if plan.strategy == "full":
            return mask.full(), FREE
        return (plan.padding, mask.position) if mask.fits(plan) else (mask.full(), FREE)
    if mask is not None:
        return mask, FREE
    is_causal = getattr(module, "is_causal", True) if causal is None else causal
    return None, PositionMask(causal=bool(is_causal) and queries > 1)


def read_mask_function(function: _MaskFunction) -> PositionMask | None:
    """Return what a mask function of transformers says of two places; None for one that says anything else."""
    if function is bidirectional_mask_function:
        return FREE
    if function is causal_mask_function:
        return PositionMask(causal=True)
    code, held = _parts(function)
    if code is _AND:
        found = [read_mask_function(part) for part in held["mask_functions"]]
        return _both(found)
    make = None if code is None else _OVERLAYS.get(code)
    window = held.get("sliding_window")
    if make is None or not isinstance(window, int) or window < 1:
        return None
    return _overlay(make, window)


@lru_cache
def _overlay(make: Callable[[int], _MaskFunction], window: int) -> PositionMask | None:
    """Return what an overlay says, seen at its edges, since `window` may count the query itself or not."""
    centre = 2 * window + 2
    places = torch.arange(2 * centre + 1, device="cpu")
    read = make(window)(0, 0, torch.tensor(centre, device="cpu"), places).nonzero()[:, 0]
    left, right = centre - int(read[0]), int(read[-1]) - centre
    if len(read) != left + right + 1 or left < 0 or right < 0:
        return None
    return PositionMask(window=(_ANY if left == centre else left, _ANY if right == centre else right))


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


def _parts(function: _MaskFunction) -> tuple[CodeType | None, dict[str, Any]]:
    """Return a function's code, and by name what it holds of the function that made it."""
    code: CodeType | None = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    return code, {} if code is None else {
        name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True)
    }


_AND: Final = and_masks().__code__
_OVERLAYS: Final = {make(1).__code__: make for make in (sliding_window_overlay, sliding_window_bidirectional_overlay)}


def _whole_mask(arguments: Mapping[str, Any]) -> Tensor:
    mask = sdpa_mask(**{**arguments, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})
    assert mask is not None  # noqa: S101 - nothing may be skipped
    return mask


def _offset(arguments: Mapping[str, Any], of: str) -> int:
    return int(arguments.get(f"{of}_offset", 0))


def _same_padding(padding: Tensor | None, plan: Plan) -> bool:
    own = plan.padding
    if padding is None or own is None:
        return own is None and (padding is None or bool(padding.all()))
    return torch.equal(padding.bool(), own[:, 0, 0])
