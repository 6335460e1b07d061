"""A metric under resampled texts: one product of matrices evaluates all draws at once."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Metric = Literal["accuracy", "matthews"]
Floats = NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES: Final[int] = 2000
_BATCH = 5_000_000  # numbers in memory at once: all draws of a large dev split would take gigabytes


class Scores:
    """A row's metric, the mean over its runs, as a function of how often each item counts.

    `labels` (items,) and `predictions` (runs, items) are integers from 0 to below `classes`.
    """

    def __init__(
        self, labels: Sequence[int], predictions: Sequence[Sequence[int]], metric: Metric, *, classes: int
    ) -> None:
        truth, said = np.asarray(labels), np.asarray(predictions)
        self.items = len(truth)
        self._classes = classes
        self._metric = metric
        # What each item adds to a run's count: 1 where it is right, or its cell of the confusion matrix.
        if metric == "accuracy":
            self._counted = (said == truth)[..., None].astype(np.float64)
        else:
            self._counted = np.eye(self._classes**2)[truth * self._classes + said]

    @property
    def by_run(self) -> Floats:
        """The metric of each run (runs,)."""
        return self._evaluate(np.ones((1, self.items)))[:, 0]

    def mean(self, times: NDArray[np.float64]) -> Floats:
        """Return the mean over runs for each row of `times` (draws, items)."""
        found: Floats = self._evaluate(times).mean(0)
        return found

    def exchanged(self, other: "Scores", swap: NDArray[np.float64]) -> Floats:
        """Return the mean over runs where the other row's answers stand for the items of `swap` (draws, items)."""
        counts = (1 - swap) @ self._counted + swap @ other._counted
        found: Floats = self._metric_of(counts).mean(0)
        return found

    def _evaluate(self, times: NDArray[np.float64]) -> Floats:
        return self._metric_of(times @ self._counted)

    def _metric_of(self, counts: Floats) -> Floats:
        """Return the metric (runs, draws) of counts (runs, draws, counted)."""
        if self._metric == "accuracy":
            return counts[..., 0] / self.items
        return _matthews(counts.reshape(*counts.shape[:2], self._classes, self._classes))


def _matthews(confusion: Floats) -> Floats:
    """Return Matthews' correlation of confusion matrices (..., truth, said); 0 where one side has one class.

    Gorodkin (2004), Comparing two K-category assignments by a K-category correlation coefficient.
    """
    truth, said = confusion.sum(-1), confusion.sum(-2)
    total, right = truth.sum(-1), np.trace(confusion, axis1=-2, axis2=-1)
    spread = (total**2 - (truth**2).sum(-1)) * (total**2 - (said**2).sum(-1))
    covariance = right * total - (truth * said).sum(-1)
    found: Floats = np.divide(covariance, np.sqrt(spread), out=np.zeros_like(total), where=spread > 0)
    return found


def bootstrap_mean(row: Scores, *, seed: int = 0) -> Floats:
    """Return a row's mean on RESAMPLES samples of as many items, drawn with replacement."""
    return np.concatenate([row.mean(times) for times in _draws(row.items, seed)])


def bootstrap_difference(row: Scores, other: Scores, *, seed: int = 0) -> Floats:
    """Return the difference of two rows on the same RESAMPLES samples of items."""
    return np.concatenate([row.mean(times) - other.mean(times) for times in _draws(row.items, seed)])


def exchange_test(row: Scores, other: Scores, *, seed: int = 0) -> float:
    """Return the two-sided p-value of the difference of two rows with the same number of runs.

    If the rows were alike, exchanging their answers to an item, in all runs at once, would change nothing; p is the
    share of RESAMPLES random exchanges that bring about as large a difference.
    """
    rng = np.random.default_rng(seed)
    once = np.ones((1, row.items))
    seen = abs(float(row.mean(once)[0] - other.mean(once)[0])) - 1e-12
    extreme = 0
    for size in _batches(row.items):
        swap = rng.integers(0, 2, (size, row.items)).astype(np.float64)
        extreme += int((abs(row.exchanged(other, swap) - other.exchanged(row, swap)) >= seen).sum())
    return (extreme + 1) / (RESAMPLES + 1)


def interval(distribution: Floats) -> Interval:
    """Return the 95 % percentile interval of a distribution."""
    low, high = np.quantile(distribution, (0.025, 0.975))
    return float(low), float(high)


def _draws(items: int, seed: int) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    chances = np.full(items, 1 / items)
    return [rng.multinomial(items, chances, size=size).astype(np.float64) for size in _batches(items)]


def _batches(items: int) -> list[int]:
    size = max(1, _BATCH // items)
    return [min(size, RESAMPLES - first) for first in range(0, RESAMPLES, size)]
