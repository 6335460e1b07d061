"""Labels as one line of numbers, the form in which records hold answers and predictions."""

from collections.abc import Sequence


def write_label_line(labels: Sequence[int]) -> str:
    """Return labels as one line."""
    return " ".join(map(str, labels))


def read_label_line(line: str) -> tuple[int, ...]:
    """Return the labels of a line."""
    return tuple(map(int, line.split()))
