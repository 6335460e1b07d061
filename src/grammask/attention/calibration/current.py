"""The rates that hold in this process: those that were measured on this machine, else the defaults of its kind."""

import os
from collections.abc import Sequence
from typing import Final

import torch

from ...errors import InputError
from ...printing import quoted
from .defaults import default_rates
from .rates import Rates
from .stored import Machine, read_rates

SWITCH: Final[str] = "GRAMMASK_CALIBRATE"  # "0": neither measure nor read what was measured
_RATES: Final[dict[tuple[torch.dtype, int], Rates]] = {}
_MEASURED: Final[set[tuple[torch.dtype, int]]] = set()  # in this process


def rates_for(dtype: torch.dtype, threads: int) -> Rates:
    """Return the rates for a dtype and a number of threads. Files are read once in a process."""
    key = (dtype, threads)
    if key not in _RATES:
        stored = read_rates(Machine.here(dtype, threads)) if may_calibrate() else None
        _RATES.setdefault(key, stored or default_rates(dtype, threads))
    return _RATES[key]


def use_rates(dtype: torch.dtype, threads: int, rates: Rates) -> None:
    """Let rates that were measured hold in this process from now on."""
    _RATES[dtype, threads] = rates
    _MEASURED.add((dtype, threads))


def are_measured(dtype: torch.dtype, threads: int) -> bool:
    """Tell whether rates were measured here: in this process, also where they cannot be kept, or before."""
    return (dtype, threads) in _MEASURED or read_rates(Machine.here(dtype, threads)) is not None


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


def rates_in_use(dtypes: Sequence[str], threads: Sequence[int]) -> dict[str, str]:
    """Say in words which rates hold for each dtype, by name, and number of threads."""
    return {
        f"{name}, threads {count}": rates_for(getattr(torch, name), count).source
        for name in dtypes
        for count in threads
    }


def forget_rates() -> None:
    """Let the next call read the files again."""
    _RATES.clear()
    _MEASURED.clear()
