"""From measured times to the price of each part: least squares without negative prices, relative errors counting."""

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .parts import Parts

First = TypeVar("First", bound=Parts)
Second = TypeVar("Second", bound=Parts)


def fit_prices(
    first: Sequence[First], second: Sequence[Second], nanoseconds: Sequence[float], *, shared: Collection[str] = ()
) -> tuple[First, Second]:
    """Return the price of each part, 0 or more, that explains the times of these counts best, in relative terms.

    They are of two kinds of work, timed one after the other; parts that are named in `shared` have one price in both.
    """
    kinds = type(first[0]), type(second[0])
    parts = [[("" if name in shared else kind.__name__, name) for name in kind.names()] for kind in kinds]
    columns = {part: column for column, part in enumerate(dict.fromkeys([*parts[0], *parts[1]]))}
    places = [[columns[part] for part in of_kind] for of_kind in parts]
    counts = np.zeros((len(first) + len(second), len(columns)))
    counts[: len(first), places[0]] = [count.numbers for count in first]
    counts[len(first) :, places[1]] = [count.numbers for count in second]
    prices = _fit(counts, np.asarray(nanoseconds, dtype=np.float64))
    return kinds[0](*prices[places[0]].tolist()), kinds[1](*prices[places[1]].tolist())


def _fit(counts: NDArray[np.float64], nanoseconds: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = counts / nanoseconds[:, None]
    scale = np.linalg.norm(shares, axis=0)
    scale[scale == 0] = 1.0  # a part that no probe has costs nothing
    prices: NDArray[np.float64] = nonnegative_least_squares(shares / scale, np.ones(len(counts))) / scale
    return prices


def nonnegative_least_squares(matrix: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x >= 0 that brings `matrix` @ x (rows,) closest to `target` (Lawson and Hanson 1974, chapter 23)."""
    columns = matrix.shape[1]
    x = np.zeros(columns)
    free = np.zeros(columns, dtype=np.bool_)
    for _ in range(3 * columns):
        gradient = matrix.T @ (target - matrix @ x)
        gradient[free] = -np.inf
        if gradient.max() <= 1e-10:
            break
        free[int(gradient.argmax())] = True
        while (solution := _solve(matrix, target, free))[free].min(initial=1.0) <= 0:
            # As far towards the solution as no number turns negative; those that reach 0 stay there.
            falling = free & (solution <= 0)
            x += (x[falling] / (x[falling] - solution[falling])).min() * (solution - x)
            free &= x > 1e-12
            x[~free] = 0.0
        x = solution
    return x


def _solve(matrix: NDArray[np.float64], target: NDArray[np.float64], free: NDArray[np.bool_]) -> NDArray[np.float64]:
    solution = np.zeros(len(free))
    solution[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
    return solution
