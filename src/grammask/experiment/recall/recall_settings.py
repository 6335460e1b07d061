"""What a measurement of recall is made of; no heavy library is needed to know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from ...errors import ExperimentError
from ...files.write import dump
from ...printing import quoted

PEERS: Final[Mapping[str, str]] = {
    "streaming-llm": "the first 4 tokens and the last ones (StreamingLLM, Xiao and others 2024), after a full reading",
    "sep-llm": "the grammar separators with a window as long as the share allows (SepLLM, Chen and others 2025)",
    "snapkv": "what the last 64 tokens attend to (SnapKV, Li and others 2024), by kvpress",
    "expected-attention": "what later tokens are expected to attend to (Devoto and others 2025), by kvpress",
    "keydiff": "keys that differ from the mean key (KeyDiff, Park and others 2025), by kvpress",
    "random": "keys drawn at random, by kvpress",
}
DISTANCES: Final[tuple[int, ...]] = (500, 1000, 2000, 3000, 3500)
_LEAST: Final[int] = 64  # of a distance: SnapKV's window
_QUESTION: Final[int] = 40  # tokens of a question and its answer, about


@dataclass(frozen=True)
class RecallSettings:
    """Contexts of `length` tokens, questions included, with a fact of each kind at each of `distances`.

    `distractors` facts more, which nobody asks for, stand anywhere between. Peers keep the share of the cache that a
    grammar keeps, or `share` where there is none.
    """

    length: int = 4096
    distances: tuple[int, ...] = DISTANCES
    distractors: int = 6
    share: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.distances:
            raise ExperimentError("there is no distance at which facts are to stand; name some, such as 500,1000")
        for distance in self.distances:
            self.check_fits(distance, self.length - 1)

    def check_fits(self, distance: int, room: int) -> None:
        """Raise `ExperimentError` for a distance that a context of at most `room` tokens doesn't have."""
        if not _LEAST <= distance <= room:
            raise ExperimentError(
                f"no fact can stand {distance:,} tokens before a question in {self.length:,} tokens of text; take "
                f"distances from {_LEAST} to {room:,}, or a larger --length"
            )

    @property
    def sha256(self) -> str:
        """The hash of all settings."""
        return sha256(dump(self.to_dict()).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def fitting_distances(length: int) -> tuple[int, ...]:
    """Return the usual distances that a text of this length has; half of it where it has none of them."""
    return tuple(distance for distance in DISTANCES if distance < length - _QUESTION) or (length // 2,)


def check_peers(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of peers, each once; raises `ExperimentError` for an unknown one."""
    for name in names:
        if name not in PEERS:
            raise ExperimentError(f"no peer is called {quoted(name)}; peers are {', '.join(PEERS)}")
    return tuple(dict.fromkeys(names))
