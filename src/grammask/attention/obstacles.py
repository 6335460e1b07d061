"""What keeps a call from a sparse backend, whatever its rules and its size are."""

from typing import Final

import torch

from .backends import Backend
from .choice import Call
from .plan import Plan

# What Triton multiplies.
_LEAST_HEAD_DIM: Final[int] = 16
_GPU_DTYPES: Final = (torch.float16, torch.bfloat16, torch.float32)


def obstacle_for(plan: Plan, call: Call, backend: Backend) -> str | None:
    """Return why a sparse backend cannot take a call, whatever the rules are; None where it can."""
    if call.obstacle is not None:
        return call.obstacle
    if not backend.runs_on(call.device.type):
        return (
            f"{backend.name} runs on {' and '.join(backend.devices or ())} only, but the tensors are on {call.device}"
        )
    obstacle = _flex_obstacle(call) if backend.kernel == "flex" else None
    if obstacle is not None:
        return obstacle
    if plan.mask_transform is not None:
        return "a mask transform decides what is read, not the rules alone"
    return None


def _flex_obstacle(call: Call) -> str | None:
    """Return why FlexAttention cannot take a call; None where it can."""
    is_compiled = call.device.type != "cpu"
    if is_compiled and call.head_dim < _LEAST_HEAD_DIM:
        return f"FlexAttention takes no heads of fewer than {_LEAST_HEAD_DIM} numbers, but these have {call.head_dim}"
    if is_compiled and call.dtype not in _GPU_DTYPES:
        computed = ", ".join(str(dtype).removeprefix("torch.") for dtype in _GPU_DTYPES)
        return f"FlexAttention computes {computed} on {call.device.type}, but not {call.dtype}"
    if call.drops:
        return "FlexAttention has no attention dropout"
    if call.trains and not is_compiled:
        return "FlexAttention has no backward pass on the CPU"
    return None
