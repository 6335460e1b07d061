"""The ways to make positions beyond those that a model learned, by name; it loads no library, for settings."""

from typing import Literal, get_args

from ..errors import InputError
from ..printing import quoted

PositionMethod = Literal["tile", "interpolate"]


def check_method(method: object) -> PositionMethod:
    """Return the name of a method; raises `InputError` for any other value."""
    for known in get_args(PositionMethod):
        if method == known:
            return known  # type: ignore[no-any-return]
    raise InputError(f"method must be one of {', '.join(get_args(PositionMethod))}, but is {quoted(method)}")
