"""Rows of a comparison, with intervals and tests; the standard tests are statsmodels'."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from ..errors import ExperimentError
from ..resampling import (
    RESAMPLES,
    Floats,
    Interval,
    Metric,
    Scores,
    bootstrap_difference,
    bootstrap_mean,
    exchange_test,
    interval,
)
from .metrics import classification_metrics
from .plan_runs import RowKey, row_key_of


@dataclass(frozen=True)
class RunOutcome:
    """What one run predicted on a task of so many `classes`; all runs of a comparison have the same items in order."""

    grammar: str | None
    strategy: str
    seed: int
    labels: tuple[int, ...]
    predictions: tuple[int, ...]
    classes: int
    control: str | None = None
    adaptation: str | None = None
    attention: str | None = None

    @property
    def row_key(self) -> RowKey:
        """What the runs of a row share."""
        return row_key_of(vars(self))


@dataclass(frozen=True)
class SummaryRow:
    """One row of the comparison: means over seeds, and the paired difference to full in the comparison's metric.

    `accuracy_interval` is Wilson's for one seed, else a bootstrap over items. `difference` and what follows are None
    for full itself, and where full wasn't run with these seeds. `p_value` is McNemar's exact test for one seed and
    accuracy, else `exchange_test`; `p_holm` is corrected for all rows of the comparison. `p_inferior` is that of
    "worse than full by the margin or more": below 0.05, the row is not inferior.
    """

    grammar: str | None
    strategy: str
    control: str | None
    adaptation: str | None
    attention: str | None
    seeds: tuple[int, ...]
    accuracy: float
    accuracy_interval: Interval
    accuracy_by_seed: tuple[float, ...]
    f1: float
    matthews: float
    difference: float | None = None
    difference_interval: Interval | None = None
    p_value: float | None = None
    p_holm: float | None = None
    p_inferior: float | None = None


def summarise(
    runs: Sequence[RunOutcome], *, metric: Metric = "accuracy", margin: float = 0.01
) -> tuple[SummaryRow, ...]:
    """Return one row for each `RowKey`, in order of first appearance; a comparison has one row of full attention."""
    rows = group_by_row(runs)
    full = next((members for row, members in rows.items() if row.strategy == "full"), {})
    found = [_summary(members, full, metric, margin) for members in rows.values()]
    tested = [row.p_value for row in found if row.p_value is not None]
    if not tested:
        return tuple(found)
    corrected = iter(multipletests(tested, method="holm")[1].tolist())
    return tuple(row if row.p_value is None else replace(row, p_holm=next(corrected)) for row in found)


def group_by_row(runs: Sequence[RunOutcome]) -> dict[RowKey, dict[int, RunOutcome]]:
    """Return the runs of each row by seed; raises `ExperimentError` unless all were evaluated on the same items."""
    if len({run.labels for run in runs}) > 1:
        raise ExperimentError("the runs were not evaluated on the same items, so they cannot be compared")
    rows: dict[RowKey, dict[int, RunOutcome]] = {}
    for run in runs:
        rows.setdefault(run.row_key, {})[run.seed] = run
    return rows


def paired_scores(
    one: dict[int, RunOutcome], other: dict[int, RunOutcome], metric: Metric
) -> tuple[Scores, Scores] | None:
    """Return the scores of two rows over the seeds that both have, None when there are none."""
    shared = [seed for seed in one if seed in other]
    if not shared:
        return None
    first, second = (_scores([row[seed] for seed in shared], metric) for row in (one, other))
    return first, second


def difference(one: Scores, other: Scores, *, seed: int = 0) -> tuple[float, Floats]:
    """Return the difference of two rows' means over runs, and its bootstrap distribution."""
    return float(one.by_run.mean() - other.by_run.mean()), bootstrap_difference(one, other, seed=seed)


def _summary(members: dict[int, RunOutcome], full: dict[int, RunOutcome], metric: Metric, margin: float) -> SummaryRow:
    first = next(iter(members.values()))
    figures = [classification_metrics(run.labels, run.predictions, classes=run.classes) for run in members.values()]
    accuracy = _scores(list(members.values()), "accuracy")
    row = SummaryRow(
        grammar=first.grammar,
        strategy=first.strategy,
        control=first.control,
        adaptation=first.adaptation,
        attention=first.attention,
        seeds=tuple(members),
        accuracy=float(accuracy.by_run.mean()),
        accuracy_interval=figures[0].accuracy_interval if len(figures) == 1 else interval(bootstrap_mean(accuracy)),
        accuracy_by_seed=tuple(figure.accuracy for figure in figures),
        f1=float(np.mean([figure.f1 for figure in figures])),
        matthews=float(np.mean([figure.matthews for figure in figures])),
    )
    scores = None if first.strategy == "full" else paired_scores(members, full, metric)
    if scores is None:
        return row
    value, distribution = difference(*scores)
    shared = [seed for seed in members if seed in full]
    exact = len(shared) == 1 and metric == "accuracy"
    return replace(
        row,
        difference=value,
        difference_interval=interval(distribution),
        p_value=_mcnemar(members[shared[0]], full[shared[0]]) if exact else exchange_test(*scores),
        p_inferior=(int((distribution <= -margin).sum()) + 1) / (RESAMPLES + 1),
    )


def _scores(runs: Sequence[RunOutcome], metric: Metric) -> Scores:
    return Scores(runs[0].labels, [run.predictions for run in runs], metric, classes=runs[0].classes)


def _mcnemar(one: RunOutcome, other: RunOutcome) -> float:
    right, right_too = (np.equal(run.labels, run.predictions) for run in (one, other))
    table = [
        [int((right & right_too).sum()), int((right & ~right_too).sum())],
        [int((~right & right_too).sum()), int((~right & ~right_too).sum())],
    ]
    return float(mcnemar(table, exact=True).pvalue)
