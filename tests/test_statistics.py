"""Metrics and intervals against figures worked out by hand."""

import pytest

from grammask.errors import ExperimentError
from grammask.experiment.statistics import RunOutcome, classification_metrics, summarise

LABELS = (0, 0, 0, 0, 1, 1, 1, 1, 1, 1)
GOOD = (0, 0, 0, 1, 1, 1, 1, 1, 1, 0)  # 8 of 10 right
WORSE = (0, 0, 1, 1, 1, 1, 1, 1, 0, 0)  # 6 of 10 right, wrong on two more


def outcome(strategy, predictions, *, seed=0, labels=LABELS):
    return RunOutcome(None if strategy == "full" else "paper", strategy, seed, labels, predictions)


def test_metrics_of_one_run():
    metrics = classification_metrics(LABELS, GOOD)
    assert metrics.accuracy == pytest.approx(0.8)
    # Wilson's interval for 8 of 10.
    assert metrics.accuracy_interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert metrics.f1 == pytest.approx(2 * 5 / (2 * 5 + 1 + 1))
    assert metrics.matthews == pytest.approx((5 * 3 - 1 * 1) / (6 * 6 * 4 * 4) ** 0.5)


def test_f1_is_macro_beyond_two_classes_and_one_answer_only_has_no_correlation():
    assert classification_metrics((0, 1, 2), (0, 1, 1)).f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert classification_metrics((0, 1), (1, 1)).matthews == 0.0


def test_the_difference_is_paired():
    full, hard = summarise([outcome("full", GOOD), outcome("hard", WORSE)])
    assert full.difference is None
    assert hard.difference == pytest.approx(-0.2)
    low, high = hard.difference_interval
    assert -0.5 <= low < -0.2 < high <= 0.0
    assert summarise([outcome("full", GOOD), outcome("hard", GOOD)])[1].difference_interval == (0.0, 0.0)
    assert summarise([outcome("hard", GOOD)])[0].difference is None


def test_seeds_are_averaged_and_only_shared_ones_are_paired():
    rows = summarise([outcome("full", GOOD), outcome("hard", GOOD), outcome("hard", WORSE, seed=1)])
    assert rows[1].seeds == (0, 1)
    assert rows[1].accuracy == pytest.approx(0.7)
    assert rows[1].accuracy_by_seed == pytest.approx((0.8, 0.6))
    assert rows[1].difference == 0.0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ExperimentError, match="same items"):
        summarise([outcome("full", GOOD), outcome("hard", GOOD, labels=LABELS[::-1])])
    with pytest.raises(ExperimentError, match="cannot be compared"):
        classification_metrics((0, 1), (0,))
