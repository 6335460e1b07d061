"""The calls that a calibration times: small, of chosen shapes, and of made-up texts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...grammar.rules import Strategy
from ...grammar.tags import TAGS
from ..blocks.block import BlockGroup
from ..functional import attend
from ..plan import Plan
from ..sparse import sparse_attention
from .count import Shape, dense_parts, sparse_parts
from .made_up import made_up_plan, unmade
from .parts import DenseParts, Probe, SparseParts
from .rates import Pass
from .shapes import band, block, blocks, group


def sparse_probes(dtype: torch.dtype, kind: Pass, *, heads: int) -> list[Probe[SparseParts]]:
    """Return calls in blocks, of which each part of the work weighs much in some."""
    zeros = torch.zeros(1, 1, 128, 256, dtype=torch.float32, device="cpu")
    made = [
        ((group(blocks(1, 8, 8), 8, 8),), 64, 64),
        ((group(blocks(16, 8, 8), 128, 128),), 128, 64),
        ((group(blocks(1, 8, 8), 8, 8, shuffled=True),) * 8, 64, 64),
        ((group(blocks(8, 32, 64), 256, 256),), 256, 32),
        ((group(blocks(4, 32, 512), 128, 512),), 512, 64),
        ((group(blocks(1, 192, 256), 192, 256),), 256, 64),
        ((group(blocks(1, 192, 256), 192, 256),), 256, 32),
        ((group(blocks(1, 768, 64), 768, 64),), 768, 64),
        ((group(blocks(1, 768, 128), 768, 128),), 768, 32),
        ((group([block(0, 128, 256, bias=zeros)], 128, 256),), 256, 32),
        ((group([block(0, 128, 256, bias=zeros == 0)], 128, 256),), 256, 32),
        ((group([block(0, 128, 256, bias=zeros[:, :, :1])], 128, 256),), 256, 32),
        ((group([block(0, 128, 256, bias=lambda: zeros + 1)], 128, 256),), 256, 32),
        ((group([band(8, 32, 96, 256)], 256, 256),), 256, 64),
        ((group([band(4, 64, 192, 256)], 256, 256),), 256, 32),
        ((group(blocks(1, 512, 16), 512, 512, shuffled=True),), 512, 64),
        ((group(blocks(1, 32, 512), 32, 512, shuffled=True),), 512, 64),
        # Wide rows, as of many heads.
        ((group(blocks(1, 256, 16), 256, 256, shuffled=True),), 256, 384),
        ((group(blocks(1, 16, 256), 16, 256, shuffled=True),), 256, 384),
        ((group(blocks(1, 256, 32), 256, 32), group(blocks(1, 256, 32), 256, 32, accumulates=True)), 256, 64),
        ((group(blocks(1, 32, 32), 32, 32),), 2048, 64),
    ]  # fmt: skip
    probes = [_in_blocks(groups, Shape(1, heads, heads, length, size), dtype, kind) for groups, length, size in made]
    plans: list[tuple[str, Strategy, int, int]] = [
        ("paper", "hard", 128, 32), ("paper", "hard", 384, 64), ("mixed", "hard", 192, 64), ("mixed", "hard", 384, 32),
        ("banded", "hard", 512, 32), ("paper", "soft", 128, 64), ("paper", "soft", 256, 32),
        ("minilm-heads", "soft", 192, 32), ("minilm-heads", "soft", 256, 64),
    ]  # fmt: skip
    for grammar, strategy, length, size in plans:
        plan = made_up_plan(grammar, strategy, length, heads=12)
        probes.append(
            _in_blocks(plan.block_groups(0, drops=kind == "eager"), Shape(1, heads, heads, length, size), dtype, kind)
        )
    return probes


def _in_blocks(groups: Sequence[BlockGroup], shape: Shape, dtype: torch.dtype, kind: Pass) -> Probe[SparseParts]:
    dropout = 0.1 if kind == "eager" else 0.0
    run = attention_call(shape, dtype, trains=kind != "forward")
    call = run(lambda query, key, value: sparse_attention(query, key, value, groups, scale=0.1, dropout=dropout))
    return Probe(sparse_parts(groups, shape, dtype, drops=dropout > 0), call)


def dense_probes(dtype: torch.dtype, kind: Pass, *, heads: int) -> list[Probe[DenseParts]]:
    """Return calls on the dense path: masks and biases, of one head and of all, short and long."""
    made: list[tuple[str, Strategy, int, int]] = [
        ("paper", "hard", length, size) for length in (32, 128, 320) for size in (32, 64)
    ]
    made += [("paper", "soft", length, 64) for length in (128, 320)]
    made += [("banded", "full", 128, 32), ("banded", "full", 320, 64)]
    probes = []
    for grammar, strategy, length, size in made:
        plan = made_up_plan(grammar, strategy, length)
        probes.append(_densely(plan, Shape(1, heads, heads, length, size), dtype, kind))
    learned = unmade(
        made_up_plan("paper", "soft", 192),
        learned=torch.zeros(1, 1, len(TAGS), len(TAGS), dtype=torch.float32, device="cpu"),
    )
    return [*probes, _densely(learned, Shape(1, heads, heads, 192, 64), dtype, kind)]


def _densely(plan: Plan, shape: Shape, dtype: torch.dtype, kind: Pass) -> Probe[DenseParts]:
    dropout = 0.1 if kind == "eager" else 0.0
    run = attention_call(shape, dtype, trains=kind != "forward")
    call = run(
        lambda query, key, value: attend(query, key, value, plan, 0, None, scale=0.1, dropout=dropout, backend="dense")
    )
    parts = dense_parts(
        shape,
        mask_heads=int(plan.strategy != "full"),
        is_learned=plan.learned is not None,
    )
    return Probe(parts, call)


def attention_call(
    shape: Shape, dtype: torch.dtype, *, trains: bool, device: str = "cpu"
) -> Callable[[Callable[[Tensor, Tensor, Tensor], Tensor]], Callable[[], object]]:
    """Return what makes a pass out of attention over drawn queries, keys and values: a call that computes it anew."""
    generator = torch.Generator().manual_seed(0)
    # Tokens outermost, as models hand them over: what is copied are whole tokens.
    sizes = shape.batch, shape.length, shape.heads, shape.head_dim
    query, key, value, gradient = (
        torch.randn(sizes, generator=generator, dtype=torch.float32, device="cpu").to(device, dtype).transpose(1, 2)
        for _ in range(4)
    )

    def run(attention: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[], object]:
        def forward() -> Tensor:
            with torch.no_grad():
                return attention(query, key, value)

        def training() -> object:
            with torch.enable_grad():
                return torch.autograd.grad(attention(query, key, value), (query, key, value), gradient)

        return training if trains else forward

    if trains:
        for tensor in (query, key, value):
            tensor.requires_grad_()
    return run
