"""From measured times to the price of each part: least squares without negative prices, relative errors counting."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .parts import Counted


def fit_prices(counts: Sequence[Counted], nanoseconds: Sequence[float]) -> Counted:
    """Return the price of each part, 0 or more, that explains the times of these counts best, in relative terms."""
    parts = type(counts[0])
    shares = np.array([count.numbers for count in counts]) / np.asarray(nanoseconds)[:, None]
    scale = np.linalg.norm(shares, axis=0)
    scale[scale == 0] = 1.0  # a part that no probe has costs nothing
    prices = nonnegative_least_squares(shares / scale, np.ones(len(counts))) / scale
    return parts(*prices.tolist())


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
