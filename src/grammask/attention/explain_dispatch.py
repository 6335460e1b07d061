"""Asking dispatch what a call would take, without the call."""

import torch

from ..errors import InputError
from ..grammar.limits import MAX_HEADS, MAX_LAYERS
from ..printing import quoted
from .arguments import check_device
from .choice import Call, Choice
from .dispatch import choose_backend
from .inputs import check_whole
from .plan import Plan
from .plan_checks import check_plan, check_size
from .position_mask import check_position_mask


def explain_dispatch(
    plan: Plan,
    *,
    heads: int,
    head_dim: int,
    key_heads: int | None = None,
    layer: int = 0,
    backend: str = "auto",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    training: bool = False,
    drops: bool = False,
    causal: bool = False,
    window: tuple[int, int] | None = None,
) -> Choice:
    """Return which backend a call with this plan takes in a layer, why, and by which estimates.

    Every call logs the same line at debug level. Estimates are for the present number of PyTorch's threads, by rates
    that were measured on this machine (`grammask bench --calibrate`) or else the defaults of its kind of processor.
    For a GPU there are none before it was measured (`grammask bench --calibrate --device cuda`).

    Args:
        plan: What `make_plan` made.
        heads: The number of heads.
        head_dim: The size of each head.
        key_heads: The number of heads of keys and values; None: as many.
        layer: The layer, counted from 0.
        backend: "auto" lets estimates decide; any other (see the table in docs/kernels.md) is obeyed or refused.
        device: Where the tensors are.
        dtype: What is computed in.
        training: Whether a backward pass will follow.
        drops: Whether attention weights will be dropped.
        causal: As for `grammar_attention`.
        window: As for `grammar_attention`.

    Returns:
        The `backend`, the `reason`, the estimates `dense_ms` and `sparse_ms` (None: not needed, or unmeasured), in
        milliseconds of one layer's pass, and the `rates` behind them. Planning isn't in them, since any number of
        calls share such a plan.

    Raises:
        GrammarError: For a backend that is unknown or cannot do the grammar.
        InputError: For a layer or heads that the plan doesn't have, a dtype that isn't floating point, and a sparse
            backend that these inputs cannot take.

    Example:
        >>> plan = grammask.make_plan("banded", tag_ids=torch.arange(4096)[None] % 17)
        >>> choice = grammask.explain_dispatch(plan, heads=12, head_dim=64)
        >>> choice.backend, choice.reason
        ('banded', 'cheaper than dense')
    """
    plan = check_plan(plan)
    layer = check_whole("layer", layer, lowest=0, highest=MAX_LAYERS - 1)
    heads = check_whole("heads", heads, lowest=1, highest=MAX_HEADS)
    key_heads = heads if key_heads is None else check_whole("key_heads", key_heads, lowest=1, highest=heads)
    if heads % key_heads:
        raise InputError(f"key_heads must divide heads, but {heads} heads cannot share {key_heads}")
    head_dim = check_whole("head_dim", head_dim, lowest=1, highest=1 << 20)
    check_size(plan, layer=layer, heads=heads)
    for name, flag in (("drops", drops), ("training", training)):
        if not isinstance(flag, bool):
            raise InputError(f"{name} must be True or False, but is {quoted(flag)}")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype must be a floating-point dtype of torch, but is {quoted(dtype)}")
    position = check_position_mask(causal, window)
    return choose_backend(
        plan,
        Call(
            layer, heads, key_heads, head_dim, backend, check_device(device), dtype, training, drops, position=position
        ),
    )
