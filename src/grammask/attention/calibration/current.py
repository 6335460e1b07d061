"""The rates that hold in this process: those that were measured on this machine, else the defaults of its kind.

There are no defaults for a GPU: what was not measured on a card isn't estimated there.
"""

import os
from collections.abc import Sequence
from functools import cache
from typing import Final

import torch

from ...errors import InputError
from ...printing import quoted
from .defaults import default_rates
from .gpu.rates import GpuRates
from .rates import Rates
from .stored import Machine, read_rates

SWITCH: Final[str] = "GRAMMASK_CALIBRATE"  # "0": neither measure nor read what was measured
_RATES: Final[dict[tuple[torch.dtype, int], Rates]] = {}
_MEASURED: Final[set[tuple[torch.dtype, int]]] = set()  # in this process
_ON_GPUS: Final[dict[tuple[torch.dtype, str], GpuRates | None]] = {}  # by the card's name


def rates_for(dtype: torch.dtype, threads: int) -> Rates:
    """Return the rates for a dtype and a number of threads. Files are read once in a process."""
    key = (dtype, threads)
    if key not in _RATES:
        stored = read_rates(Machine.here(dtype, threads), Rates) if may_calibrate() else None
        _RATES.setdefault(key, stored or default_rates(dtype, threads))
    return _RATES[key]


def gpu_rates_for(dtype: torch.dtype, device: torch.device) -> GpuRates | None:
    """Return what was measured on a card for a dtype, None where nothing was. Files are read once in a process."""
    card = _card(device)
    if card is None:
        return None
    if (dtype, card) not in _ON_GPUS:
        stored = read_rates(Machine.of_gpu(dtype, card), GpuRates) if may_calibrate() else None
        _ON_GPUS.setdefault((dtype, card), stored)
    return _ON_GPUS[dtype, card]


def use_gpu_rates(dtype: torch.dtype, card: str, rates: GpuRates) -> None:
    """Let rates that were measured on a kind of card hold in this process from now on."""
    _ON_GPUS[dtype, card] = rates


def _card(device: torch.device) -> str | None:
    """Return the name of a GPU that rates are kept for; None for another device, and where there is none."""
    if device.type != "cuda":
        return None
    if device.index is not None:
        return _name(device.index)
    # Without a number it is the present one, which may change.
    return _name(torch.cuda.current_device()) if torch.cuda.is_available() else None


@cache
def _name(card: int) -> str | None:
    there = torch.cuda.is_available() and card < torch.cuda.device_count()
    return torch.cuda.get_device_name(card) if there else None


def use_rates(dtype: torch.dtype, threads: int, rates: Rates) -> None:
    """Let rates that were measured hold in this process from now on."""
    _RATES[dtype, threads] = rates
    _MEASURED.add((dtype, threads))


def are_measured(dtype: torch.dtype, threads: int) -> bool:
    """Tell whether rates were measured here: in this process, also where they cannot be kept, or before."""
    return (dtype, threads) in _MEASURED or read_rates(Machine.here(dtype, threads), Rates) is not None


def may_calibrate() -> bool:
    """Tell whether measured rates are wanted, as they are unless $GRAMMASK_CALIBRATE is 0.

    Raises `InputError` where it is neither 0 nor 1.
    """
    value = os.environ.get(SWITCH) or "1"
    if value not in ("0", "1"):
        raise InputError(
            f"${SWITCH} is {quoted(value)}, but must be 0 (neither measure nor read what was measured) or 1"
        )
    return value == "1"


def rates_in_use(dtypes: Sequence[str], threads: Sequence[int], device: str = "cpu") -> dict[str, str]:
    """Say in words which rates hold for each dtype, by name, and on the CPU each number of threads."""
    if device != "cpu":
        found = {name: gpu_rates_for(getattr(torch, name), torch.device(device)) for name in dtypes}
        return {name: "unmeasured" if rates is None else rates.source for name, rates in found.items()}
    return {
        f"{name}, threads {count}": rates_for(getattr(torch, name), count).source
        for name in dtypes
        for count in threads
    }


def forget_rates() -> None:
    """Let the next call read the files again."""
    _RATES.clear()
    _MEASURED.clear()
    _ON_GPUS.clear()
