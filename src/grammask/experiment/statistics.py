"""Metrics with intervals; scikit-learn, statsmodels and SciPy do the work."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from statsmodels.stats.proportion import proportion_confint

from ..errors import ExperimentError

Interval = tuple[float, float]
_RESAMPLES = 2000
_BATCH = 10_000_000  # numbers in memory at once: all resamples of a large dev split would take gigabytes


@dataclass(frozen=True)
class Metrics:
    """Figures of one run; `accuracy_interval` is Wilson's at 95 %. F1 is the second class's of two, else macro."""

    accuracy: float
    accuracy_interval: Interval
    f1: float
    matthews: float


@dataclass(frozen=True)
class RunOutcome:
    """What one run predicted; every run of a comparison has the same items in the same order."""

    grammar: str | None
    strategy: str
    seed: int
    labels: tuple[int, ...]
    predictions: tuple[int, ...]
    control: str | None = None


@dataclass(frozen=True)
class Summary:
    """One row of the comparison: means over seeds, and the paired difference of accuracy to full.

    `difference` and its interval are None for full itself, and where full wasn't run with these seeds.
    """

    grammar: str | None
    strategy: str
    control: str | None
    seeds: tuple[int, ...]
    accuracy: float
    accuracy_interval: Interval
    accuracy_by_seed: tuple[float, ...]
    f1: float
    matthews: float
    difference: float | None
    difference_interval: Interval | None


def classification_metrics(labels: Sequence[int], predictions: Sequence[int]) -> Metrics:
    """Return the figures of one run; raises `ExperimentError` for no items, or not one prediction for each."""
    if not labels or len(labels) != len(predictions):
        raise ExperimentError(f"{len(labels)} labels and {len(predictions)} predictions cannot be compared")
    average = "binary" if set(labels) | set(predictions) <= {0, 1} else "macro"
    right = sum(label == prediction for label, prediction in zip(labels, predictions, strict=True))
    low, high = proportion_confint(right, len(labels), method="wilson")
    return Metrics(
        accuracy=float(accuracy_score(labels, predictions)),
        accuracy_interval=(float(low), float(high)),
        f1=float(f1_score(labels, predictions, average=average, zero_division=0.0)),
        matthews=float(matthews_corrcoef(labels, predictions)) if len({*labels, *predictions}) > 1 else 0.0,
    )


def summarise(runs: Sequence[RunOutcome]) -> tuple[Summary, ...]:
    """Return one row for each grammar, strategy and control, in order of first appearance."""
    if len({run.labels for run in runs}) > 1:
        raise ExperimentError("the runs were not evaluated on the same items, so they cannot be compared")
    groups: dict[tuple[str | None, str, str | None], dict[int, RunOutcome]] = {}
    for run in runs:
        groups.setdefault((run.grammar, run.strategy, run.control), {})[run.seed] = run
    full = {run.seed: run for run in runs if run.strategy == "full"}
    return tuple(_summary(members, full) for members in groups.values())


def _summary(members: dict[int, RunOutcome], full: dict[int, RunOutcome]) -> Summary:
    first = next(iter(members.values()))
    figures = [classification_metrics(run.labels, run.predictions) for run in members.values()]
    correct = np.stack([_correct(run) for run in members.values()])
    shared = [seed for seed in members if seed in full]
    difference = interval = None
    if shared and first.strategy != "full":
        items = np.mean([_correct(members[seed]) - _correct(full[seed]) for seed in shared], axis=0)
        difference, interval = float(items.mean()), _bootstrap(items)
    return Summary(
        grammar=first.grammar,
        strategy=first.strategy,
        control=first.control,
        seeds=tuple(members),
        accuracy=float(correct.mean()),
        accuracy_interval=figures[0].accuracy_interval if len(figures) == 1 else _bootstrap(correct.mean(0)),
        accuracy_by_seed=tuple(figure.accuracy for figure in figures),
        f1=float(np.mean([figure.f1 for figure in figures])),
        matthews=float(np.mean([figure.matthews for figure in figures])),
        difference=difference,
        difference_interval=interval,
    )


def _correct(run: RunOutcome) -> NDArray[np.float64]:
    return np.equal(run.labels, run.predictions).astype(np.float64)


def _bootstrap(items: NDArray[np.float64]) -> Interval:
    """Return the 95 % percentile interval of the mean over items, which are what a new sample would draw anew."""
    if items.min() == items.max():  # no resample would be different, and SciPy refuses a single item
        return float(items[0]), float(items[0])
    result = bootstrap(
        (items,),
        np.mean,
        n_resamples=_RESAMPLES,
        method="percentile",
        batch=max(1, _BATCH // len(items)),
        rng=np.random.default_rng(0),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
