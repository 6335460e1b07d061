"""Which way one call's attention goes, decided from the call, the plan's own work and this machine's rates alone.

Short batches take the dense path, where one fused call beats many small ones. `backend="auto"` compares estimates; a
backend that is asked for by name is obeyed, or an error says why it cannot be.
"""

import logging
from dataclasses import dataclass
from functools import partial

import torch

from ..errors import GrammarError, InputError
from ..grammar.limits import MAX_HEADS, MAX_LAYERS
from ..printing import quoted
from .backends import DENSE, TABLE, Backend, backend_for, check_backend, check_name
from .blocks.make_blocks import reaches_of
from .calibration.count import Shape
from .calibration.current import rates_for
from .calibration.rates import Rates
from .estimates import Estimate
from .inputs import check_whole
from .plan import Plan
from .plan_checks import check_plan, check_size

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What a call takes, "dense" or a sparse backend, why, and the estimates behind it (None: not needed).

    Estimates are milliseconds of one layer's pass on this machine, planning included, by `rates`: those that were
    measured here, or the defaults of this kind of processor.
    """

    backend: str
    reason: str
    dense_ms: float
    sparse_ms: float | None = None
    rates: str = ""

    def __str__(self) -> str:
        sparse = "" if self.sparse_ms is None else f", sparse {self.sparse_ms:.2f} ms"
        estimates = f"dense {self.dense_ms:.2f} ms{sparse}; {self.rates}"
        return f"{self.backend}: {self.reason} (estimates a layer: {estimates})"


@dataclass(frozen=True)
class Call:
    """What dispatch needs to know of one call beside its plan.

    `dtype` is what is computed in; `trains` tells that a backward pass will follow, `drops` that attention weights
    will be dropped; `obstacle` says what only the dense path can do, if anything.
    """

    layer: int
    heads: int
    key_heads: int
    head_dim: int
    backend: str
    device: torch.device
    dtype: torch.dtype
    trains: bool
    drops: bool
    obstacle: str | None = None


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
) -> Choice:
    """Return which backend a call with this plan takes in a layer, why, and by which estimates.

    Every call logs the same line at debug level. Estimates are for the present number of PyTorch's threads, by rates
    that were measured on this machine (`grammask bench --calibrate`) or else the defaults of its kind of processor.

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

    Returns:
        The `backend`, the `reason`, the estimates `dense_ms` and `sparse_ms` (None: not needed), in milliseconds of one
        layer's pass with its share of planning, and the `rates` behind them.

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
    return choose_backend(
        plan, Call(layer, heads, key_heads, head_dim, backend, _device(device), dtype, training, drops)
    )


def _device(name: str | torch.device) -> torch.device:
    try:
        return torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device {quoted(name)} is none that torch knows, such as cpu or cuda") from error


def choose_backend(plan: Plan, call: Call) -> Choice:
    """Choose for one call; raises as `explain_dispatch` does."""
    check_name(call.backend)
    rates = rates_for(call.dtype, torch.get_num_threads())
    # What hangs on nothing else is worked out once.
    if (call, rates) not in plan.choices:
        plan.choices[call, rates] = _choose(plan, call, rates)
    choice: Choice = plan.choices[call, rates]
    _LOG.debug("layer %d: %s", call.layer, choice)
    return choice


def _choose(plan: Plan, call: Call, rates: Rates) -> Choice:
    batch, length = plan.shape
    shape = Shape(batch, call.heads, call.key_heads, length, call.head_dim)
    estimate = Estimate(plan, call.layer, shape, call.dtype, trains=call.trains, drops=call.drops, rates=rates)
    answer = partial(Choice, dense_ms=estimate.dense_ms, rates=rates.source)
    named = TABLE.get(call.backend)
    if plan.strategy == "full":
        if named not in (None, DENSE):
            raise GrammarError(
                f"strategy 'full' has no backend {call.backend!r}: it is the stock model; leave backend out"
            )
        return answer(DENSE.name, "full attention is the stock model's")
    if named is DENSE:
        return answer(DENSE.name, "asked for")
    reaches = reaches_of(plan.layer_tables[call.layer])
    fitting = backend_for(plan.strategy, reaches, call.device.type)
    obstacle = _obstacle(plan, call, named or fitting)
    if named is not None:
        if obstacle is not None:
            raise InputError(f'backend {named.name!r} cannot be used here: {obstacle}; use backend="dense" or "auto"')
        check_backend(named.name, plan.strategy, reaches, plan.name)
        return answer(named.name, "asked for", sparse_ms=estimate.sparse_ms)
    if obstacle is not None:
        return answer(DENSE.name, obstacle)
    if estimate.dense_ms <= estimate.least_sparse_ms:
        return answer(DENSE.name, f"{batch} x {length} tokens are too few for anything else")
    if (unsorted := plan.why_unsorted(call.layer, drops=call.drops)) is not None:
        return answer(DENSE.name, unsorted)
    if estimate.dense_ms <= estimate.sparse_ms:
        return answer(DENSE.name, "the blocks of this grammar would cost more", sparse_ms=estimate.sparse_ms)
    return answer(fitting.name, "cheaper than dense", sparse_ms=estimate.sparse_ms)


def _obstacle(plan: Plan, call: Call, backend: Backend) -> str | None:
    """Return why a sparse backend cannot take a call, whatever the rules are; None where it can."""
    if call.obstacle is not None:
        return call.obstacle
    if not backend.runs_on(call.device.type):
        return (
            f"{backend.name} runs on {' and '.join(backend.devices or ())} only, but the tensors are on {call.device}"
        )
    if plan.mask_transform is not None:
        return "a mask transform decides what is read, not the rules alone"
    if plan.strategy == "hard" and plan.layer_tables[call.layer][0].sink_tokens:
        return "the blocks don't hold sink tokens yet"
    return None
