"""Rates on disk: one file in the cache folder for each processor or card, torch version, dtype and number of threads.

A file that is damaged, foreign or absurd is not used: a warning is logged, and it is as if nothing had been measured,
since no forward pass should end for it.
"""

import logging
import re
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...environment import processor
from ...errors import InputError
from ...files.cache_folder import cache_folder
from ...files.read import parse_json_object, read_text
from ...files.write import dump, write_whole
from .gpu.rates import GpuRates
from .instructions import instructions
from .rates import Rates

_LOG = logging.getLogger(__name__)
_LARGEST: Final[int] = 1 << 16  # bytes
_LONGEST: Final[int] = 200  # characters of `Rates.source`, which is printed
_REMEDY: Final[str] = "measure again with grammask bench --calibrate"

AnyRates = TypeVar("AnyRates", bound=Rates | GpuRates)


class Machine(BaseModel):
    """What rates hang on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processor: str
    instructions: str
    pytorch: str
    dtype: str
    threads: int = Field(ge=1, le=4096)

    @classmethod
    def here(cls, dtype: torch.dtype, threads: int) -> "Machine":
        """Return this machine's."""
        return cls(
            processor=processor(),
            instructions=instructions(),
            pytorch=torch.__version__,
            dtype=str(dtype).removeprefix("torch."),
            threads=threads,
        )

    @classmethod
    def of_gpu(cls, dtype: torch.dtype, card: str) -> "Machine":
        """Return a card, by its name, as one."""
        return cls(
            processor=card,
            instructions=f"CUDA {torch.version.cuda}",
            pytorch=torch.__version__,
            dtype=str(dtype).removeprefix("torch."),
            threads=1,
        )

    @property
    def file(self) -> Path:
        """Where its rates are kept."""
        # Names of processors may differ in signs that no file name can hold.
        digest = sha256(self.model_dump_json().encode()).hexdigest()[:8]
        name = f"{self.processor}-{self.instructions}-torch-{self.pytorch}-{self.dtype}-{self.threads}-{digest}"
        return cache_folder() / "rates" / (re.sub(r"[^a-z0-9.]+", "-", name.lower())[-200:].lstrip("-.") + ".json")


class RatesFile(BaseModel, Generic[AnyRates]):
    """What a file of rates holds."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[3] = 3
    machine: Machine
    rates: AnyRates


def write_rates(machine: Machine, rates: AnyRates) -> Path:
    """Keep the rates of a machine and return their file; raises `ExperimentError` when it cannot be written."""
    write_whole(machine.file, dump(RatesFile(machine=machine, rates=rates).model_dump(mode="json")))
    return machine.file


def read_rates(machine: Machine, kind: type[AnyRates]) -> AnyRates | None:
    """Return the rates of a kind that are kept for a machine, None where there are none that can be used."""
    path = machine.file
    try:
        if not path.exists():
            return None
        return parse_rates(read_text(path, most=_LARGEST, named=False), path, machine, kind)
    except (InputError, OSError) as error:
        where = " --device cuda" if kind is GpuRates else ""
        _LOG.warning("measured rates are not used: %s; %s%s", error, _REMEDY, where)
        return None


def parse_rates(text: str, origin: Path, machine: Machine | None, kind: type[AnyRates]) -> AnyRates:
    """Return the rates of a file's text; raises `InputError` for damage, another `machine` and absurd numbers."""
    try:
        parse_json_object(text, origin=origin)  # which says more of what is no JSON, and refuses keys that stand twice
        found: RatesFile[AnyRates] = RatesFile[kind].model_validate_json(text, strict=True)  # type: ignore[valid-type]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{origin}: {where}: {first['msg']}, but it is {str(first['input'])[:80]!r}") from error
    if machine is not None and found.machine != machine:
        raise InputError(f"{origin}: the rates are of another machine: {found.machine}")
    if not found.rates.source.isprintable() or len(found.rates.source) > _LONGEST:
        raise InputError(f"{origin}: rates.source must be at most {_LONGEST} printable characters on one line")
    check_plausible(found.rates, origin)
    return found.rates


def check_plausible(rates: Rates | GpuRates, origin: object) -> None:
    """Raise `InputError` unless attention over a thousand tokens takes from what no device beats to a minute."""
    for kind, parts in rates.paths():
        ms = (1e6 * parts.scores + 64e6 * parts.products) * 1e-6
        if not rates.least_ms < ms < 60_000:
            raise InputError(f"{origin}: a million pairs of a {kind} pass would take {ms:.3g} ms, no machine does that")
