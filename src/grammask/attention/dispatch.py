"""Which way one call's attention goes, decided from the call, the plan's own work and this machine's rates alone.

Short batches take the dense path, where one fused call beats many small ones. `backend="auto"` compares estimates; a
backend that is asked for by name is obeyed, or an error says why it cannot be.
"""

import logging
from functools import partial

import torch

from ..errors import GrammarError, InputError
from .backends import DENSE, TABLE, Backend, backend_for, check_backend, check_name
from .block_estimates import BlockEstimate
from .blocks.make_blocks import UnsortedError
from .calibration.count import Shape
from .calibration.current import gpu_rates_for, rates_for
from .calibration.gpu.rates import WIDEST, GpuRates
from .calibration.rates import DTYPES, Rates
from .choice import Call, Choice
from .estimates import Estimate
from .flex_estimates import FlexEstimate
from .obstacles import obstacle_for
from .plan import Plan

_LOG = logging.getLogger(__name__)

# Blocks must promise a tenth: their cost is the less certain one, and where the two are close little is to be won.
_DOUBT = 1.1


def choose_backend(plan: Plan, call: Call) -> Choice:
    """Choose for one call; raises as `explain_dispatch` does."""
    check_name(call.backend)
    rates = _rates(call)
    # Worked out once for all layers whose rules are of one kind.
    rules = (plan.lookup(call.layer).kind, plan.sharing(call.layer)) if plan.layer_tables else None
    key = (rules, rates, call[1:])
    if key not in plan.choices:
        plan.choices[key] = _choose(plan, call, rates)
    choice: Choice = plan.choices[key]
    _LOG.debug("layer %d: %s", call.layer, choice)
    return choice


def is_measured(device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether "auto" may take another path than the dense one on a device."""
    return device.type == "cpu" or gpu_rates_for(dtype, device) is not None


def _rates(call: Call) -> Rates | GpuRates | None:
    """Return what work costs on the call's device; None where nothing was measured."""
    if call.device.type != "cpu":
        return gpu_rates_for(call.dtype, call.device)
    # What is dropped must not hang on threads: a recomputed pass may have others.
    return rates_for(call.dtype, 1 if call.drops else torch.get_num_threads())


def _choose(plan: Plan, call: Call, rates: Rates | GpuRates | None) -> Choice:
    estimate = _estimate(plan, call, rates)
    if estimate is None:
        answer = partial(Choice, rates=f"unmeasured: there are no estimates on {call.device.type}")
    else:
        answer = partial(Choice, dense_ms=estimate.dense_ms, rates=estimate.source, start=estimate.start)
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
    obstacle = obstacle_for(plan, call, named or fitting)
    if named is not None:
        if obstacle is not None:
            raise InputError(f'backend {named.name!r} cannot be used here: {obstacle}; use backend="dense" or "auto"')
        if named is not fitting:
            check_backend(named.name, plan.strategy, reaches, plan.name)
        sparse_ms = estimate.sparse_ms if estimate is not None and named.kernel == fitting.kernel else None
        return answer(named.name, "asked for", sparse_ms=sparse_ms)
    if obstacle is not None:
        return answer(DENSE.name, obstacle)
    if estimate is None:
        return answer(DENSE.name, _unmeasured(plan, call, fitting))
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


def _estimate(plan: Plan, call: Call, rates: Rates | GpuRates | None) -> Estimate | None:
    shape = Shape(plan.shape[0], call.heads, call.key_heads, plan.shape[1], call.head_dim, call.queries)
    of_call = plan, call.layer, shape
    if isinstance(rates, Rates):
        return BlockEstimate(*of_call, call.dtype, call.position, trains=call.trains, drops=call.drops, rates=rates)
    if rates is None or _not_measured(plan, call) is not None:
        return None
    return FlexEstimate(*of_call, call.position, trains=call.trains, rates=rates)


def _not_measured(plan: Plan, call: Call) -> str | None:
    """Return what of a call is never measured on a GPU; None where all of it may be."""
    if plan.learned is not None and call.trains:
        return "a training of learned strengths isn't"
    if call.dtype not in DTYPES:
        return f"{_short(call.dtype)} isn't"
    return f"heads of more than {WIDEST} numbers aren't" if call.head_dim > WIDEST else None


def _unmeasured(plan: Plan, call: Call, fitting: Backend) -> str:
    where, never = call.device.type, _not_measured(plan, call)
    if never is not None:
        return f"{never} measured on {where}; ask for {fitting.name} by name"
    how = f"ask for it by name, or measure first: grammask bench --calibrate --device {where}"
    return f"{fitting.name} is compiled first on {where}; {how} --dtypes {_short(call.dtype)}"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
