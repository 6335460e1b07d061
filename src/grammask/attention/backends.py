"""The table of backends: each way to compute attention under a plan, and what it fits. All that names one reads it.

To add one: a row here, its name in `BackendName`, and a new kernel's call in `functional.attend`.
"""

from dataclasses import dataclass
from typing import Final, Literal

from ..errors import GrammarError
from ..grammar.rules import STRATEGIES, Strategy
from ..printing import quoted

# Which reaches a layer's rules have: document only, bounded (words, sentences) only from word to word, or both.
Reaches = Literal["document", "bounded", "both"]
Kernel = Literal["dense", "blocks", "flex"]
BackendName = Literal[
    "auto", "dense", "sorted", "banded", "mixed", "biased", "flex"
]  # for type checkers; a test compares

_ALL: Final[tuple[Reaches, ...]] = ("document", "bounded", "both")


@dataclass(frozen=True)
class Backend:
    """One row: it does rules of these `reaches`, under these strategies, on these devices (None: on all).

    `description` is what it computes, `kernel` what computes it. `fits` says what of a grammar makes "auto" take it:
    the first row that fits is taken.
    """

    name: BackendName
    description: str
    strategies: tuple[Strategy, ...]
    reaches: tuple[Reaches, ...]
    kernel: Kernel
    fits: str = ""
    devices: tuple[str, ...] | None = ("cpu",)

    def does(self, strategy: Strategy, reaches: Reaches) -> bool:
        """Tell whether it does a layer's rules."""
        return strategy in self.strategies and reaches in self.reaches

    def runs_on(self, device: str) -> bool:
        """Tell whether it runs on a type of device, such as "cpu"."""
        return self.devices is None or device in self.devices


DENSE: Final = Backend("dense", "all n x n pairs under a mask", STRATEGIES, _ALL, "dense", devices=None)
# Uncompiled on the CPU, where it is only good for checking: the rows before it are taken there.
FLEX: Final = Backend(
    "flex", "PyTorch's FlexAttention: blocks of 128 x 128 pairs that hold an allowed one", ("hard", "soft"), _ALL,
    "flex", devices=("cpu", "cuda"),
)  # fmt: skip
SPARSE: Final[tuple[Backend, ...]] = (
    Backend(
        "sorted", "the allowed pairs, almost all without masks", ("hard",), ("document",), "blocks",
        "all of its rules have document reach",
    ),
    Backend(
        "banded", "linear in length: chunks of queries read windows of keys under small masks", ("hard",), ("bounded",),
        "blocks", "none of its rules leads from word to word at document reach",
    ),
    Backend(
        "mixed", "sorted and banded together, no pair twice", ("hard",), _ALL, "blocks",
        "it has rules of document and of bounded reach",
    ),
    Backend(
        "biased", "all pairs, with one row of bias for each block instead of an n x n bias", ("soft",), _ALL, "blocks",
        "the strategy is soft",
    ),
    FLEX,
)  # fmt: skip
TABLE: Final[dict[str, Backend]] = {backend.name: backend for backend in (DENSE, *SPARSE)}
BACKENDS: Final[tuple[BackendName, ...]] = ("auto", *(backend.name for backend in TABLE.values()))
FOR_CPU: Final[tuple[BackendName, ...]] = tuple(name for name in BACKENDS if name != FLEX.name)  # made to be fast there


def check_name(backend: str) -> str:
    """Return `backend`; raise `GrammarError` for one that doesn't exist."""
    if backend not in BACKENDS:
        raise GrammarError(f"unknown backend {quoted(backend)}; backends are: {', '.join(BACKENDS)}")
    return backend


def backend_for(strategy: Strategy, reaches: Reaches, device: str = "cpu") -> Backend:
    """Return the first sparse backend that does a layer's rules: one for this type of device, if there is any."""
    fitting = [backend for backend in SPARSE if backend.does(strategy, reaches)]
    return next((backend for backend in fitting if backend.runs_on(device)), fitting[0])


def check_backend(backend: str, strategy: Strategy, reaches: Reaches, grammar: str) -> None:
    """Raise `GrammarError` unless a backend asked for by name does a layer's rules; `grammar` is the grammar's name."""
    if TABLE[backend].does(strategy, reaches):
        return
    fitting = backend_for(strategy, reaches)
    raise GrammarError(
        f"backend {backend!r} cannot do grammar {grammar!r}, strategy {strategy!r}: {fitting.fits}; use "
        f'backend="{fitting.name}", "dense" or "auto"'
    )
