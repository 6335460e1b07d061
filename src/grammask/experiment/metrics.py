"""Metrics of one run, by scikit-learn, over all classes of the task, also those that the run never predicted."""

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from statsmodels.stats.proportion import proportion_confint

from ..errors import ExperimentError
from ..resampling import Interval


@dataclass(frozen=True)
class Metrics:
    """Metrics of one run; `accuracy_interval` is Wilson's at 95 %.

    F1 is the second class's where the task has two, else the mean over all of the task's classes; a class that is
    neither in the labels nor predicted counts 0.
    """

    accuracy: float
    accuracy_interval: Interval
    f1: float
    matthews: float


def classification_metrics(labels: Sequence[int], predictions: Sequence[int], *, classes: int) -> Metrics:
    """Return the metrics of one run on a task of so many classes.

    Raises `ExperimentError` for no items, another number of predictions, or a prediction that is not a class.
    """
    if not labels or len(labels) != len(predictions):
        raise ExperimentError(f"{len(labels)} labels and {len(predictions)} predictions cannot be compared")
    if max(*labels, *predictions) >= classes or min(*labels, *predictions) < 0:
        raise ExperimentError(f"some labels or predictions are not among the task's {classes} classes")
    right = sum(label == prediction for label, prediction in zip(labels, predictions, strict=True))
    low, high = proportion_confint(right, len(labels), method="wilson")
    average = "binary" if classes <= 2 else "macro"
    of = [0, 1] if classes <= 2 else list(range(classes))
    return Metrics(
        accuracy=float(accuracy_score(labels, predictions)),
        accuracy_interval=(float(low), float(high)),
        f1=float(f1_score(labels, predictions, labels=of, average=average, zero_division=0.0)),
        matthews=float(matthews_corrcoef(labels, predictions)) if len({*labels, *predictions}) > 1 else 0.0,
    )
