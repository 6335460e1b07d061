"""Rates for machines that were not measured: those of one processor, scaled to the instructions of this one.

`defaults.json` was measured on one thread of a processor with AVX2, in float32. Wider instructions speed up matrix
products most, and the start of a call not at all. The factors are those of PyTorch's fused attention.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import torch

from ...files.read import read_text
from .instructions import instructions
from .parts import Counted, SparseParts
from .rates import PassRates, Rates
from .stored import parse_rates

_MEASURED: Final[Path] = Path(__file__).with_name("defaults.json")
# How many times as fast as AVX2 in float32: products of matrices, and what is done for each score.
_FASTER: Final[dict[tuple[str, torch.dtype], tuple[float, float]]] = {
    ("AVX2", torch.bfloat16): (0.6, 0.8),
    ("AVX512", torch.float32): (1.75, 1.5),
    ("AVX512", torch.bfloat16): (1.5, 1.5),
    ("AMX", torch.float32): (1.75, 1.5),
    ("AMX", torch.bfloat16): (4.0, 2.0),
}
_STARTS: Final[tuple[str, ...]] = ("calls", "groups", "starts")  # one thread does them, however many there are


@cache
def default_rates(dtype: torch.dtype, threads: int) -> Rates:
    """Return the documented rates of a processor of this kind; other dtypes than bfloat16 count as float32."""
    measured = parse_rates(read_text(_MEASURED), _MEASURED, None, Rates)
    kind = instructions()
    products, scores = _FASTER.get((kind, dtype), _FASTER.get((kind, torch.float32), (1.0, 1.0)))
    kernel = {"products": 1 / products, "loads": 1 / products, "scores": 1 / scores, "masked": 1 / scores}

    def scaled(rates: PassRates[SparseParts]) -> PassRates[SparseParts]:
        return PassRates(
            dense=_shared(rates.dense.times(**kernel), threads), sparse=_shared(rates.sparse.times(**kernel), threads)
        )

    return replace(
        measured,
        forward=scaled(measured.forward),
        training=scaled(measured.training),
        eager=scaled(measured.eager),
        source=f"defaults for {kind}",
    )


def _shared(prices: Counted, threads: int) -> Counted:
    """Divide what threads share among them."""
    return prices.times(**{name: 1 / threads for name in prices.names() if name not in _STARTS})
