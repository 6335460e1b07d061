"""Checks of what attention is called with: queries, keys and values, the model's own mask, and numbers."""

import math
from numbers import Real
from typing import Final

import torch
from torch import Tensor

from ..errors import InputError
from ..printing import quoted

_FLOATS: Final = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
_LARGEST: Final[float] = torch.finfo(torch.float32).max


def check_inputs(query: object, key: object, value: object) -> None:
    """Raise `InputError` unless query, key and value (batch, heads, length, head_dim) belong together.

    Key and value may have fewer heads, each for as many heads of the query, and be longer: queries are at their end.
    """
    named = {"query": query, "key": key, "value": value}
    for name, tensor in named.items():
        _check_tensor(name, tensor)
    assert isinstance(query, Tensor) and isinstance(key, Tensor) and isinstance(value, Tensor)  # noqa: S101, PT018
    batch, heads, queries, head_dim = query.shape
    if key.shape[0] != batch or key.shape[3] != head_dim or value.shape[:3] != key.shape[:3]:
        raise InputError(
            "query, key and value must be (batch, heads, length, head_dim) of equal batch, key and value of equal "
            f"heads and length, query and key of equal head_dim, but have shapes {tuple(query.shape)}, "
            f"{tuple(key.shape)} and {tuple(value.shape)}"
        )
    if queries > key.shape[2]:
        raise InputError(
            f"query has {queries} tokens, more than the {key.shape[2]} of key and value; they are the end of the keys"
        )
    if 0 in (heads, key.shape[1], head_dim, value.shape[3]):
        raise InputError(
            f"query, key and value have the shapes {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}, "
            "but need heads and a head_dim of 1 at least"
        )
    if heads % key.shape[1]:
        raise InputError(
            f"query has {heads} heads and key {key.shape[1]}; each head of the key must belong to as many of the query"
        )
    if len({query.device, key.device, value.device}) > 1:
        raise InputError(f"query, key and value are on {query.device}, {key.device} and {value.device}")
    # Under autocast they are cast to one dtype, as those of PyTorch's own attention are.
    if len({query.dtype, key.dtype, value.dtype}) > 1 and not torch.is_autocast_enabled(query.device.type):
        raise InputError(
            f"query, key and value have the dtypes {query.dtype}, {key.dtype} and {value.dtype}; cast them"
        )


def check_mask(mask: Tensor | None, query: Tensor, key: Tensor) -> None:
    """Raise `InputError` unless a model's own mask is bool or additive and fits query and key (batch, heads, ...)."""
    if mask is None:
        return
    if mask.dtype not in (torch.bool, *_FLOATS):
        raise InputError(
            f'a 4-dimensional attention_mask is bool (True means "may read") or additive, but has dtype {mask.dtype}'
        )
    full = (*query.shape[:3], key.shape[2])
    if mask.dim() != 4 or any(size not in (1, whole) for size, whole in zip(mask.shape, full, strict=True)):
        raise InputError(f"attention_mask has shape {tuple(mask.shape)}, which doesn't broadcast to {full}")


def check_scale(scale: object, head_dim: int) -> float:
    """Return what scores are multiplied by, 1/sqrt(head_dim) for None; raise `InputError` for what is no number."""
    return head_dim**-0.5 if scale is None else _number("scale", scale)


def check_dropout(dropout: object) -> float:
    """Return `dropout`; raise `InputError` unless it is a share from 0 to below 1."""
    share = _number("dropout", dropout)
    if not 0 <= share < 1:
        raise InputError(f"dropout is a share from 0 to below 1, but is {share}")
    return share


def check_device(name: str | torch.device) -> torch.device:
    """Return the device of a name; raise `InputError` for none that torch knows."""
    try:
        return torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device {quoted(name)} is none that torch knows, such as cpu or cuda") from error


def _check_tensor(name: str, tensor: object) -> None:
    if not isinstance(tensor, Tensor):
        raise InputError(f"{name} must be a tensor (batch, heads, length, head_dim), but is {type(tensor).__name__}")
    if tensor.is_nested or tensor.layout is not torch.strided:
        raise InputError(f"{name} must be a dense tensor, but is sparse or nested")
    if tensor.dtype not in _FLOATS:
        raise InputError(f"{name} must hold floating-point numbers of 16 to 64 bits, but has dtype {tensor.dtype}")
    if tensor.dim() != 4:
        raise InputError(f"{name} must be (batch, heads, length, head_dim), but has shape {tuple(tensor.shape)}")


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} must be a number, but is {quoted(value)}")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond float64
        number = math.inf
    if not abs(number) <= _LARGEST:
        raise InputError(f"{name} must be finite in float32, but is {quoted(value)}")
    return number
