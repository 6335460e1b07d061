"""The names of models that begin from nothing, such as scratch:2x128x2; it loads no library, for settings."""

import re
from typing import Final, NamedTuple

from ..errors import ModelError

_SCRATCH: Final[str] = "scratch:"
_SIZES: Final = re.compile(r"([1-9]\d{0,8})x([1-9]\d{0,8})x([1-9]\d{0,8})", re.ASCII)
_MOST_LAYERS: Final[int] = 100
_MOST_WEIGHTS: Final[int] = 10**9  # of the layers: Adam needs 16 bytes for each


class Shape(NamedTuple):
    """How many layers a model has, how wide they are, and how many heads each has."""

    layers: int
    width: int
    heads: int


def read_shape(name: str) -> Shape | None:
    """Return the shape that a model's name says, None for a model that is loaded.

    Raises `ModelError` for sizes that no model can have, or that no machine could train.
    """
    if not name.startswith(_SCRATCH):
        return None
    found = _SIZES.fullmatch(name.removeprefix(_SCRATCH))
    if found is None:
        raise ModelError(
            f"it must be {_SCRATCH}LAYERSxWIDTHxHEADS, three whole numbers above 0 such as {_SCRATCH}2x128x2"
        )
    shape = Shape(*map(int, found.groups()))
    if shape.width % shape.heads:
        raise ModelError(f"heads share the width, and {shape.width} is not divisible by {shape.heads}")
    weights = 12 * shape.layers * shape.width**2
    if shape.layers > _MOST_LAYERS or weights > _MOST_WEIGHTS:
        raise ModelError(
            f"{shape.layers:,} layers of width {shape.width:,} have about {weights:,} weights; take at most "
            f"{_MOST_LAYERS} layers and {_MOST_WEIGHTS:,} weights"
        )
    return shape
