"""The one bootstrap: a metric, or any statistic, under resampled texts. Matrix products evaluate many draws at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Metric = Literal["accuracy", "matthews"]
Floats = NDArray[np.float64]
Interval = tuple[float, float]
# From how often each item counts (draws, items) to a figure for each draw (draws,).
Statistic = Callable[[Floats], Floats]

RESAMPLES: Final[int] = 2000
_BATCH: Final[int] = 5_000_000  # numbers in memory at once: all draws of a large dev split would take gigabytes


class Scores:
    """The metric of a row of a comparison, a mean over its runs, as a statistic of how often each item counts.

    `labels` (items,) and `predictions` (runs, items) are integers from 0 to below `classes`.
    """

    def __init__(
        self, labels: Sequence[int], predictions: Sequence[Sequence[int]], metric: Metric, *, classes: int
    ) -> None:
        truth, predicted = np.asarray(labels), np.asarray(predictions)
        self.items = len(truth)
        self._classes = classes
        self._metric = metric
        # What each item adds to a run's count: 1 where it is right, or its cell of the confusion matrix.
        if metric == "accuracy":
            self._counted = (predicted == truth)[..., None].astype(np.float64)
        else:
            self._counted = np.eye(self._classes**2)[truth * self._classes + predicted]

    @property
    def by_run(self) -> Floats:
        """The metric of each run (runs,)."""
        return self._evaluate(np.ones((1, self.items)))[:, 0]

    def mean(self, times: Floats) -> Floats:
        """Return the mean over runs for each row of `times` (draws, items)."""
        means: Floats = self._evaluate(times).mean(0)
        return means

    def exchanged(self, other: "Scores", swap: Floats) -> Floats:
        """Return the mean over runs with the other row's answers to the items where `swap` (draws, items) is 1."""
        counts = (1 - swap) @ self._counted + swap @ other._counted
        means: Floats = self._metric_of(counts).mean(0)
        return means

    def _evaluate(self, times: NDArray[np.float64]) -> Floats:
        return self._metric_of(times @ self._counted)

    def _metric_of(self, counts: Floats) -> Floats:
        """Return the metric (runs, draws) of counts (runs, draws, counted)."""
        if self._metric == "accuracy":
            return counts[..., 0] / self.items
        return _matthews(counts.reshape(*counts.shape[:2], self._classes, self._classes))


def _matthews(confusion: Floats) -> Floats:
    """Return Matthews' correlation of confusion matrices (..., truth, prediction); 0 where one side has one class.

    Gorodkin (2004), Comparing two K-category assignments by a K-category correlation coefficient.
    """
    truth, predicted = confusion.sum(-1), confusion.sum(-2)
    total, right = truth.sum(-1), np.trace(confusion, axis1=-2, axis2=-1)
    spread = (total**2 - (truth**2).sum(-1)) * (total**2 - (predicted**2).sum(-1))
    covariance = right * total - (truth * predicted).sum(-1)
    correlation: Floats = np.divide(covariance, np.sqrt(spread), out=np.zeros_like(total), where=spread > 0)
    return correlation


def bootstrap(statistic: Statistic, items: int, *, seed: int = 0) -> Floats:
    """Return a statistic on RESAMPLES samples of as many items, drawn with replacement."""
    return np.concatenate([statistic(times) for times in _draws(items, seed)])


def estimate(statistic: Statistic, items: int) -> dict[str, Any]:
    """Return the `value` of a statistic on all items, once each, with its 95 % `interval`: plain data for JSON."""
    (value,) = statistic(np.ones((1, items)))
    return {"value": float(value), "interval": list(interval(bootstrap(statistic, items)))}


def bootstrap_mean(row: Scores, *, seed: int = 0) -> Floats:
    """Return the bootstrap distribution of a row's mean."""
    return bootstrap(row.mean, row.items, seed=seed)


def bootstrap_difference(row: Scores, other: Scores, *, seed: int = 0) -> Floats:
    """Return the bootstrap distribution of the difference of two rows, both on the same samples."""
    return bootstrap(lambda times: row.mean(times) - other.mean(times), row.items, seed=seed)


def exchange_test(row: Scores, other: Scores, *, seed: int = 0) -> float:
    """Return the two-sided p-value of the difference of two rows with the same number of runs.

    If the rows did not differ, exchanging their answers to an item, in all runs at once, would change nothing. The
    p-value is the share of RESAMPLES random exchanges with a difference at least as large.
    """
    rng = np.random.default_rng(seed)
    once = np.ones((1, row.items))
    observed = abs(float(row.mean(once)[0] - other.mean(once)[0])) - 1e-12
    extreme = 0
    for size in _batches(row.items):
        swap = rng.integers(0, 2, (size, row.items)).astype(np.float64)
        extreme += int((abs(row.exchanged(other, swap) - other.exchanged(row, swap)) >= observed).sum())
    return (extreme + 1) / (RESAMPLES + 1)


def interval(distribution: Floats) -> Interval:
    """Return the 95 % percentile interval of a distribution."""
    low, high = np.quantile(distribution, (0.025, 0.975))
    return float(low), float(high)


def _draws(items: int, seed: int) -> Iterator[Floats]:
    """Yield how often each item is drawn (draws, items), in batches."""
    rng = np.random.default_rng(seed)
    chances = np.full(items, 1 / items)
    for size in _batches(items):
        yield rng.multinomial(items, chances, size=size).astype(np.float64)


def _batches(items: int) -> list[int]:
    size = max(1, _BATCH // items)
    return [min(size, RESAMPLES - first) for first in range(0, RESAMPLES, size)]
