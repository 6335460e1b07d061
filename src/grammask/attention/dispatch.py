"""Which way one call's attention goes, decided from the call, the plan's own work and this machine's rates alone.

Short batches take the dense path, where one fused call beats many small ones. `backend="auto"` compares estimates; a
backend that is asked for by name is obeyed, or an error says why it cannot be.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch

from ..errors import GrammarError, InputError
from .backends import DENSE, TABLE, Backend, backend_for, check_backend, check_name
from .blocks.make_blocks import UnsortedError
from .blocks.sorted import START
from .calibration.count import Shape
from .calibration.current import rates_for
from .calibration.rates import Rates
from .estimates import Estimate
from .plan import Plan
from .position_mask import FREE, PositionMask

_LOG = logging.getLogger(__name__)

# Blocks must promise a tenth: their cost is the less certain one, and where the two are close little is to be won.
_DOUBT = 1.1
# What Triton multiplies.
_LEAST_HEAD_DIM = 16
_GPU_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Choice:
    """What a call takes, "dense" or a sparse backend, why, and the estimates behind it (None: not needed).

    Estimates are milliseconds of one layer's pass on this machine, planning included unless the plan was given, by
    `rates`: those that were measured here, or the defaults of this kind of processor. On other devices than the CPU
    nothing was measured, and there are none. `start` is what starting a block costs by them, in pairs.
    """

    backend: str
    reason: str
    dense_ms: float | None = None
    sparse_ms: float | None = None
    rates: str = ""
    start: int = START

    def __str__(self) -> str:
        if self.dense_ms is None:
            return f"{self.backend}: {self.reason} ({self.rates})"
        sparse = "" if self.sparse_ms is None else f", sparse {self.sparse_ms:.2f} ms"
        estimates = f"dense {self.dense_ms:.2f} ms{sparse}; {self.rates}"
        return f"{self.backend}: {self.reason} (estimates a layer: {estimates})"


class Call(NamedTuple):
    """What dispatch needs to know of one call beside its plan.

    `dtype` is what is computed in; `trains` tells that a backward pass will follow, `drops` that attention weights
    will be dropped; `obstacle` says what only the dense path can do, if anything. `position` is the model's own mask;
    queries are the last `queries` places of the batch, None for all.
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
    position: PositionMask = FREE
    queries: int | None = None


def choose_backend(plan: Plan, call: Call) -> Choice:
    """Choose for one call; raises as `explain_dispatch` does."""
    check_name(call.backend)
    # What is dropped must not hang on threads: a recomputed pass may have others.
    threads = 1 if call.drops else torch.get_num_threads()
    rates = rates_for(call.dtype, threads) if call.device.type == "cpu" else None
    # Worked out once for all layers whose rules are of one kind.
    rules = (plan.lookup(call.layer).kind, plan.sharing(call.layer)) if plan.layer_tables else None
    key = (rules, rates, call[1:])
    if key not in plan.choices:
        plan.choices[key] = _choose(plan, call, rates)
    choice: Choice = plan.choices[key]
    _LOG.debug("layer %d: %s", call.layer, choice)
    return choice


def _choose(plan: Plan, call: Call, rates: Rates | None) -> Choice:
    estimate = None if rates is None else _estimate(plan, call, rates)
    if estimate is None:
        answer = partial(Choice, rates=f"unmeasured: there are no estimates on {call.device.type}")
    else:
        answer = partial(Choice, dense_ms=estimate.dense_ms, rates=estimate.rates.source, start=estimate.start)
    named = TABLE.get(call.backend)
    if plan.strategy == "full":
        if named not in (None, DENSE):
            raise GrammarError(
                f"strategy 'full' has no backend {call.backend!r}: it is the stock model; leave backend out"
            )
        return answer(DENSE.name, "full attention is the stock model's")
    if named is DENSE:
        return answer(DENSE.name, "asked for")
    reaches = plan.lookup(call.layer).reaches
    # A window of the model's own bounds every rule.
    fitting = backend_for(plan.strategy, "bounded" if call.position.is_windowed else reaches, call.device.type)
    obstacle = _obstacle(plan, call, named or fitting)
    if named is not None:
        if obstacle is not None:
            raise InputError(f'backend {named.name!r} cannot be used here: {obstacle}; use backend="dense" or "auto"')
        if named is not fitting:
            check_backend(named.name, plan.strategy, reaches, plan.name)
        sparse_ms = estimate.sparse_ms if estimate is not None and named.kernel == "blocks" else None
        return answer(named.name, "asked for", sparse_ms=sparse_ms)
    if obstacle is not None:
        return answer(DENSE.name, obstacle)
    if estimate is None:
        return answer(DENSE.name, f"{fitting.name} is compiled first on {call.device.type}; ask for it by name")
    if plan.adds_nothing(call.layer) and call.position.is_free and plan.padding is None:
        return answer(DENSE.name, "no rule has a strength, so it is the stock model's attention")
    # Making blocks takes long, so it is left out where less tells that they cost too much.
    if estimate.dense_ms <= _DOUBT * estimate.starting_ms or estimate.dense_ms <= _DOUBT * estimate.least_sparse_ms:
        return answer(DENSE.name, f"{' x '.join(map(str, plan.shape))} tokens are too few for anything else")
    try:
        sparse_ms = estimate.sparse_ms
    except UnsortedError as error:
        return answer(DENSE.name, str(error))
    if estimate.dense_ms <= _DOUBT * sparse_ms:
        return answer(DENSE.name, "the blocks of this grammar would cost as much or more", sparse_ms=sparse_ms)
    return answer(fitting.name, "cheaper than dense", sparse_ms=sparse_ms)


def _estimate(plan: Plan, call: Call, rates: Rates) -> Estimate:
    shape = Shape(plan.shape[0], call.heads, call.key_heads, plan.shape[1], call.head_dim, call.queries)
    passes = {"trains": call.trains, "drops": call.drops}
    return Estimate(plan, call.layer, shape, call.dtype, call.position, **passes, rates=rates)


def _obstacle(plan: Plan, call: Call, backend: Backend) -> str | None:
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
