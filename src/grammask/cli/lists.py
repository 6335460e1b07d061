"""Options that hold several values, with commas."""

from ..errors import ExperimentError
from ..printing import quoted


def split(text: str) -> tuple[str, ...]:
    """Return the values of an option: `a, b` gives a and b."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole_numbers(text: str, *, option: str, example: str) -> tuple[int, ...]:
    """Return the whole numbers of an option; raises `ExperimentError` naming the option."""
    try:
        return tuple(int(part) for part in split(text))
    except ValueError:
        raise ExperimentError(
            f"{option} are whole numbers with commas, such as {example}, but got {quoted(text)}"
        ) from None
