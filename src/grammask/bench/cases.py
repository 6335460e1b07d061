"""The cases of a benchmark: all combinations of level, grammar, strategy, pass, mask, dtype, threads and sizes."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final

import torch

from .settings import NO_MASK, BenchConfig, Dtype, Guided, Level, Pass

_OWN: Final[str] = "own"


@dataclass(frozen=True)
class Case:
    """One combination, in which all contenders are timed. The fields are those of a row; `work` is its `pass`.

    `mask` is the model's own: a setting at the operator level, and what it is for whole models.
    """

    level: Level
    grammar: str
    strategy: Guided
    work: Pass
    mask: str
    dtype: Dtype
    threads: int
    batch_size: int
    length: int

    @property
    def title(self) -> str:
        """The case in one line."""
        return f"{self.series}, {self.length} tokens"

    @property
    def series(self) -> str:
        """What the case shares with those of other lengths."""
        mask = "" if self.mask in (NO_MASK, _OWN) else f"{self.mask}, "
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return (
            f"{self.level}, {self.strategy} {self.grammar}, {self.work}, {mask}{self.dtype}, {threads}, "
            f"batch {self.batch_size}"
        )

    def facts(self) -> dict[str, object]:
        """Return the case as the first part of a row."""
        return {
            "level": self.level, "grammar": self.grammar, "strategy": self.strategy, "pass": self.work,
            "mask": self.mask, "dtype": self.dtype, "threads": self.threads, "batch_size": self.batch_size,
            "length": self.length, "series": self.series,
        }  # fmt: skip

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of the operator's tensors."""
        return torch.float32 if self.dtype == "float32" else torch.bfloat16

    @property
    def weights_dtype(self) -> torch.dtype:
        """The type of a whole model's weights."""
        return torch.bfloat16 if self.dtype == "bfloat16-weights" else torch.float32


def list_cases(config: BenchConfig, grammars: Iterable[str]) -> tuple[Case, ...]:
    """Return all cases under `grammars` (names), lengths innermost."""
    threads = config.threads or (torch.get_num_threads(),)
    names = tuple(grammars)
    sizes = (config.dtypes, threads, config.batch_sizes, config.lengths)
    return tuple(
        Case(level, *rest)
        for level in config.levels
        for rest in product(
            names,
            config.strategies,
            _passes(level, config.passes),
            config.masks if level == "operator" else (_OWN,),
            *sizes,
        )
    )


def _passes(level: Level, passes: tuple[Pass, ...]) -> tuple[Pass, ...]:
    """Return the passes of a level: one layer has no prefill, and from text nothing is trained."""
    if level == "operator":
        return tuple(work for work in passes if work != "prefill")
    if level == "end-to-end":
        return tuple(work for work in passes if work == "prefill") or ("forward",)
    return passes


def memory_cases(config: BenchConfig, grammars: Iterable[str]) -> tuple[Case, ...]:
    """Return the cases whose memory is measured: the largest length, and the first of each other list."""
    if not config.memory or config.device != "cpu":
        return ()
    threads = (config.threads or (torch.get_num_threads(),))[0]
    return tuple(
        Case("operator", *rest, config.dtypes[0], threads, config.batch_sizes[0], max(config.lengths))
        for rest in product(grammars, config.strategies, _passes("operator", config.passes), config.masks)
    )
