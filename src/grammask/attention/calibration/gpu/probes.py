"""The calls that a calibration times on a GPU: long enough that pairs weigh, of few kinds, since each is compiled."""

from collections.abc import Callable
from functools import partial
from typing import Final

import torch

from ....grammar.rules import Strategy
from ...functional import attend
from ...plan import Plan
from ...position_mask import FREE, PositionMask
from ..count import Shape, dense_parts
from ..made_up import made_up_plan, mask_probe, unmade
from ..parts import DenseParts, MaskParts, Probe
from ..probes import attention_call
from .count import CountedCall, count_call, flex_parts, flex_plan_parts
from .parts import FlexParts, FlexPlanParts
from .rates import GpuPass

HEADS: Final[int] = 12
_CAUSAL: Final = PositionMask(causal=True)
# Grammar, strategy, texts, tokens of each, head_dim, the model's own mask. Batches of one text would be a kind more.
Made = tuple[str, Strategy, int, int, int, PositionMask]
_FLEX: Final[tuple[Made, ...]] = (
    ("paper", "hard", 2, 256, 64, FREE), ("paper", "hard", 2, 2048, 64, FREE), ("paper", "hard", 4, 4096, 64, FREE),
    ("paper", "hard", 2, 1024, 128, FREE), ("paper", "hard", 2, 4096, 128, FREE), ("mixed", "hard", 2, 512, 64, FREE),
    ("mixed", "hard", 4, 2048, 64, FREE), ("mixed", "hard", 2, 8192, 64, FREE), ("banded", "hard", 2, 512, 64, FREE),
    ("banded", "hard", 4, 4096, 64, FREE), ("minilm-heads", "hard", 2, 512, 64, FREE),
    ("minilm-heads", "hard", 2, 4096, 64, FREE), ("names-far", "hard", 2, 1024, 64, _CAUSAL),
    ("names-far", "hard", 4, 4096, 64, _CAUSAL), ("paper", "soft", 2, 512, 64, FREE),
    ("paper", "soft", 2, 8192, 64, FREE),
    # So long that pairs weigh more than a call's start also under a slow processor.
    ("paper", "hard", 4, 16384, 64, FREE),
)  # fmt: skip
_DENSE: Final[tuple[Made, ...]] = (
    ("paper", "hard", 2, 256, 64, FREE), ("paper", "hard", 2, 1024, 64, FREE), ("paper", "hard", 4, 2048, 64, FREE),
    ("paper", "hard", 2, 4096, 64, FREE), ("paper", "hard", 2, 1024, 128, FREE), ("paper", "hard", 2, 4096, 128, FREE),
    ("paper", "soft", 2, 2048, 64, FREE), ("banded", "full", 2, 512, 64, FREE), ("banded", "full", 2, 4096, 64, FREE),
    ("banded", "full", 2, 4096, 128, FREE),
)  # fmt: skip
_MASKS: Final[tuple[Made, ...]] = (
    ("paper", "hard", 2, 256, 64, FREE), ("paper", "hard", 2, 4096, 64, FREE), ("paper", "soft", 2, 4096, 64, FREE),
    ("mixed", "hard", 4, 2048, 64, FREE), ("minilm-heads", "hard", 2, 1024, 64, FREE),
    ("minilm-heads", "soft", 2, 2048, 64, FREE), ("paper", "hard", 2, 4096, 64, PositionMask(window=(64, 64))),
)  # fmt: skip


def flex_probes(dtype: torch.dtype, kind: GpuPass, device: str) -> list[Probe[FlexParts]]:
    """Return calls by FlexAttention, of which each part of the work weighs much in some."""
    probes = []
    for made in _FLEX:
        plan = _plan(made, device)
        parts = flex_parts(_counted(plan, made), _shape(made))
        probes.append(Probe(parts, _call(plan, made, dtype, kind, "flex", device)))
    return probes


def dense_probes(dtype: torch.dtype, kind: GpuPass, device: str) -> list[Probe[DenseParts]]:
    """Return calls on the dense path: under a mask, under a bias, and under none."""
    probes = []
    for made in _DENSE:
        plan = _plan(made, device)
        # Tiles are those of the CPU's kernel. Here they could pass for the pairs, which would then cost nothing.
        parts = dense_parts(_shape(made), mask_heads=int(plan.strategy != "full")).times(tiles=0, loads=0)
        probes.append(Probe(parts, _call(plan, made, dtype, kind, "dense", device)))
    return probes


def mask_probes(dtype: torch.dtype, device: str) -> list[Probe[MaskParts]]:
    """Return the making of dense masks."""
    return [mask_probe(_plan(made, device), dtype, made[-1]) for made in _MASKS]


def plan_probes(device: str) -> list[Probe[FlexPlanParts]]:
    """Return the making of FlexAttention's calls."""
    probes = []
    for made in _FLEX:
        plan = _plan(made, device)
        parts = flex_plan_parts(_counted(plan, made), _shape(made))
        probes.append(Probe(parts, partial(_calls_anew, plan, made[-1])))
    return probes


def _counted(plan: Plan, made: Made) -> list[CountedCall]:
    return [count_call(call) for call in plan.flex_calls(0, made[-1], plan.shape[1])]


def _calls_anew(plan: Plan, position: PositionMask) -> object:
    return unmade(plan).flex_calls(0, position, plan.shape[1])


def _call(
    plan: Plan, made: Made, dtype: torch.dtype, kind: GpuPass, backend: str, device: str
) -> Callable[[], object]:  # fmt: skip
    run = attention_call(_shape(made), dtype, trains=kind == "training", device=device)
    return run(
        lambda query, key, value: attend(
            query, key, value, plan, 0, None, made[-1], scale=0.1, dropout=0.0, backend=backend
        )
    )


def _plan(made: Made, device: str) -> Plan:
    grammar, strategy, batch, length, _, _ = made
    return made_up_plan(grammar, strategy, length, heads=HEADS, batch=batch, device=device)


def _shape(made: Made) -> Shape:
    _, _, batch, length, head_dim, _ = made
    return Shape(batch, HEADS, HEADS, length, head_dim)
