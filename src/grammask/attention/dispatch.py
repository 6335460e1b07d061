"""Which way one call's attention goes, decided from its lengths and the plan's own work; nothing is remembered.

Short batches take the dense path, where one fused call beats many small ones. `backend="auto"` compares estimates; a
backend that is asked for by name is obeyed, or an error says why it cannot be.
"""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GrammarError, InputError
from ..grammar.limits import MAX_HEADS, MAX_LAYERS
from ..printing import quoted
from .backends import DENSE, TABLE, Backend, backend_for, check_backend, check_name
from .blocks.make_blocks import reaches_of
from .inputs import check_whole
from .plan import Plan
from .plan_checks import check_plan, check_size

_LOG = logging.getLogger(__name__)

# Estimates are of one thread of a current processor, fitted to measurements; only their ratio decides. Milliseconds.
_GIGA = 60e6  # floating-point operations a millisecond, in the fused kernel at its best
_RAMP = 12  # queries that a block of few queries pays for without having them
_MASKED = 1.08  # what a dense mask costs on top
_MASKING = 13e-6  # making a dense mask, for each pair, once for all layers
_MOVED = 6e6  # bytes copied a millisecond
_BLOCK = 0.1  # starting a block
_GROUP = 0.3  # starting a group of blocks
_PLANNING = 1.2  # planning one text, once for all layers
_LEAST = 0.5  # what a text costs at least, in a few blocks


@dataclass(frozen=True)
class Choice:
    """What a call takes, "dense" or a sparse backend, why, and the estimates behind it (None: not needed).

    Estimates are milliseconds of one layer's forward pass on one thread of a current processor.
    """

    backend: str
    reason: str
    dense_ms: float
    sparse_ms: float | None = None

    def __str__(self) -> str:
        sparse = "" if self.sparse_ms is None else f", sparse {self.sparse_ms:.2f} ms"
        return f"{self.backend}: {self.reason} (estimates a layer: dense {self.dense_ms:.2f} ms{sparse})"


@dataclass(frozen=True)
class Call:
    """What dispatch needs to know of one call beside its plan.

    `drops` tells that attention weights will be dropped; `obstacle` says what only the dense path can do, if anything.
    """

    layer: int
    heads: int
    head_dim: int
    backend: str
    device: torch.device
    drops: bool
    obstacle: str | None = None


def explain_dispatch(
    plan: Plan,
    *,
    heads: int,
    head_dim: int,
    layer: int = 0,
    backend: str = "auto",
    device: str | torch.device = "cpu",
    drops: bool = False,
) -> Choice:
    """Return which backend a call with this plan takes in a layer, why, and by which estimates.

    Every call logs the same line at debug level.

    Args:
        plan: What `make_plan` made.
        heads: The number of heads.
        head_dim: The size of each head.
        layer: The layer, counted from 0.
        backend: "auto" lets estimates decide; any other (see the table in docs/kernels.md) is obeyed or refused.
        device: Where the tensors are.
        drops: Whether attention weights will be dropped.

    Returns:
        The `backend`, the `reason`, and the estimates `dense_ms` and `sparse_ms` (None: not needed): milliseconds of
        one layer's forward pass on one thread of a current processor.

    Raises:
        GrammarError: For a backend that is unknown or cannot do the grammar.
        InputError: For a layer or heads that the plan doesn't have, and a sparse backend that these inputs cannot take.

    Example:
        >>> plan = grammask.make_plan("banded", tag_ids=torch.arange(4096)[None] % 17)
        >>> choice = grammask.explain_dispatch(plan, heads=12, head_dim=64)
        >>> choice.backend, choice.reason
        ('banded', 'cheaper than dense')
    """
    plan = check_plan(plan)
    layer = check_whole("layer", layer, lowest=0, highest=MAX_LAYERS - 1)
    heads = check_whole("heads", heads, lowest=1, highest=MAX_HEADS)
    head_dim = check_whole("head_dim", head_dim, lowest=1, highest=1 << 20)
    check_size(plan, layer=layer, heads=heads)
    if not isinstance(drops, bool):
        raise InputError(f"drops must be True or False, but is {quoted(drops)}")
    return choose_backend(plan, Call(layer, heads, head_dim, backend, _device(device), drops))


def _device(name: str | torch.device) -> torch.device:
    try:
        return torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device {quoted(name)} is none that torch knows, such as cpu or cuda") from error


def choose_backend(plan: Plan, call: Call) -> Choice:
    """Choose for one call; raises as `explain_dispatch` does."""
    check_name(call.backend)
    choice = _choose(plan, call)
    _LOG.debug("layer %d: %s", call.layer, choice)
    return choice


def _choose(plan: Plan, call: Call) -> Choice:
    dense = _dense(plan, call)
    named = TABLE.get(call.backend)
    if plan.strategy == "full":
        if named not in (None, DENSE):
            raise GrammarError(
                f"strategy 'full' has no backend {call.backend!r}: it is the stock model; leave backend out"
            )
        return Choice(DENSE.name, "full attention is the stock model's", dense)
    if named is DENSE:
        return Choice(DENSE.name, "asked for", dense)
    reaches = reaches_of(plan.layer_tables[call.layer])
    fitting = backend_for(plan.strategy, reaches, call.device.type)
    obstacle = _obstacle(plan, call, named or fitting)
    if named is not None:
        if obstacle is not None:
            raise InputError(f'backend {named.name!r} cannot be used here: {obstacle}; use backend="dense" or "auto"')
        check_backend(named.name, plan.strategy, reaches, plan.name)
        return Choice(named.name, "asked for", dense, _sparse(plan, call))
    if obstacle is not None:
        return Choice(DENSE.name, obstacle, dense)
    batch, length = plan.shape
    if dense <= batch * (_LEAST + _PLANNING / len(plan.layer_tables)):
        return Choice(DENSE.name, f"{batch} x {length} tokens are too few for anything else", dense)
    if (unsorted := plan.why_unsorted(call.layer, drops=call.drops)) is not None:
        return Choice(DENSE.name, unsorted, dense)
    sparse = _sparse(plan, call)
    if dense <= sparse:
        return Choice(DENSE.name, "the blocks of this grammar would cost more", dense, sparse)
    return Choice(fitting.name, "cheaper than dense", dense, sparse)


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


def _dense(plan: Plan, call: Call) -> float:
    batch, length = plan.shape
    attention = _MASKED * 4 * call.heads * call.head_dim / _GIGA
    return batch * length**2 * (attention + _MASKING / max(len(plan.layer_tables), 1))


def _sparse(plan: Plan, call: Call) -> float:
    width = call.heads * call.head_dim
    total = 0.0
    for group in plan.block_groups(call.layer, drops=call.drops):
        share = 1.0 if group.heads is None else len(group.heads) / call.heads
        copied = sum(
            tokens.count for tokens in (group.rows, group.keys, group.keys) if isinstance(tokens.positions, Tensor)
        )
        for block in group.blocks:
            queries = block.chunk or block.rows.stop - block.rows.start
            total += 4 * width * share * block.pairs * (1 + _RAMP / queries) / _GIGA + _BLOCK
            copied += 2 * len(block.keys) if isinstance(block.keys, Tensor) else 0
        total += copied * share * 8 * width / _MOVED + _GROUP
    return total
