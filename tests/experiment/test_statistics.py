"""Metrics and intervals against figures worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from grammask.errors import ExperimentError
from grammask.experiment.statistics import RunOutcome, classification_metrics, summarise
from grammask.resampling import RESAMPLES, Scores, bootstrap, bootstrap_mean, estimate, interval

LABELS = (0, 0, 0, 0, 1, 1, 1, 1, 1, 1)
GOOD = (0, 0, 0, 1, 1, 1, 1, 1, 1, 0)  # 8 of 10 right
WORSE = (0, 0, 1, 1, 1, 1, 1, 1, 0, 0)  # 6 of 10 right, wrong on two more


def outcome(strategy, predictions, *, seed=0, labels=LABELS):
    return RunOutcome(None if strategy == "full" else "paper", strategy, seed, labels, predictions, 2)


def test_metrics_of_one_run():
    metrics = classification_metrics(LABELS, GOOD, classes=2)
    assert metrics.accuracy == pytest.approx(0.8)
    # Wilson's interval for 8 of 10.
    assert metrics.accuracy_interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert metrics.f1 == pytest.approx(2 * 5 / (2 * 5 + 1 + 1))
    assert metrics.matthews == pytest.approx((5 * 3 - 1 * 1) / (6 * 6 * 4 * 4) ** 0.5)


def test_f1_is_macro_beyond_two_classes_and_one_answer_only_has_no_correlation():
    assert classification_metrics((0, 1, 2), (0, 1, 1), classes=3).f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert classification_metrics((0, 1), (1, 1), classes=2).matthews == 0.0


def test_f1_hangs_on_the_classes_of_the_task():
    # Of three classes the third neither stands in dev nor is predicted: its F1 is 0, and it counts.
    assert classification_metrics((0, 1, 1, 0), (0, 1, 0, 0), classes=3).f1 == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)
    # Whether a run hits upon it changes its own term only, not what is averaged.
    assert classification_metrics((0, 1, 1, 0), (0, 1, 2, 0), classes=3).f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    constant = classification_metrics((0, 1, 1, 0), (0, 0, 0, 0), classes=2)
    assert (constant.f1, constant.matthews) == (0.0, 0.0)
    with pytest.raises(ExperimentError, match="not among the task's 2 classes"):
        classification_metrics((0, 1), (0, 2), classes=2)
    rows = summarise([RunOutcome(None, "full", 0, (0, 1, 1, 0), (0, 1, 0, 0), classes=3)])
    assert rows[0].f1 == pytest.approx((4 / 5 + 2 / 3) / 3)


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
        classification_metrics((0, 1), (0,), classes=2)


def test_matthews_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, runs = rng.integers(0, 4, 300), rng.integers(0, 4, (2, 300))
    scores = Scores(labels, runs, "matthews", classes=4)
    assert scores.by_run == pytest.approx([matthews_corrcoef(labels, run) for run in runs])
    times = rng.multinomial(300, np.full(300, 1 / 300), size=5)
    wanted = [np.mean([matthews_corrcoef(labels.repeat(row), run.repeat(row)) for run in runs]) for row in times]
    assert scores.mean(times.astype(float)) == pytest.approx(wanted)
    assert Scores([0, 1], [[1, 1]], "matthews", classes=2).by_run == [0.0]


def test_the_interval_is_that_of_theory():
    rng = np.random.default_rng(0)
    labels = np.zeros(800, dtype=int)
    run = (rng.random(800) < 0.3).astype(int)
    low, high = interval(bootstrap_mean(Scores(labels, [run], "accuracy", classes=2)))
    error = 1.96 * np.sqrt(0.7 * 0.3 / 800)
    assert (low, high) == pytest.approx((1 - run.mean() - error, 1 - run.mean() + error), abs=0.005)


def test_any_statistic_is_resampled_the_same_however_many_draws_fit_in_memory(monkeypatch):
    values = np.random.default_rng(0).normal(size=500)

    def mean(times):
        return times @ values / 500

    found = estimate(mean, 500)
    error = 1.96 * values.std() / np.sqrt(500)
    assert found["value"] == pytest.approx(values.mean())
    assert found["interval"] == pytest.approx([values.mean() - error, values.mean() + error], abs=0.01)
    whole = bootstrap(mean, 500, seed=1)
    monkeypatch.setattr("grammask.resampling._BATCH", 150_000)
    assert len(whole) == RESAMPLES
    assert bootstrap(mean, 500, seed=1) == pytest.approx(whole, rel=1e-12)


def test_one_seed_is_tested_exactly_and_several_by_exchange():
    full, hard = summarise([outcome("full", GOOD), outcome("hard", WORSE)])
    assert hard.p_value == pytest.approx(0.5)  # two items of two changed, one way: 2 / 2^2
    assert full.p_value is None
    labels = tuple([0, 1] * 200)
    better = labels[:360] + tuple(1 - label for label in labels[360:])
    worse = labels[:320] + tuple(1 - label for label in labels[320:])
    several = [outcome(name, said, seed=seed, labels=labels)
               for name, said in (("full", better), ("hard", worse), ("soft", better)) for seed in (0, 1)]  # fmt: skip
    for metric in ("accuracy", "matthews"):
        _, hard, soft = summarise(several, metric=metric, margin=0.05)
        assert hard.p_value < 0.01 < 0.5 < soft.p_value
        assert hard.p_holm == pytest.approx(2 * hard.p_value)  # the smaller of two
        assert hard.p_inferior > 0.9
        assert soft.p_inferior < 0.01
    assert hard.difference == pytest.approx(matthews_corrcoef(labels, worse) - matthews_corrcoef(labels, better))
    assert hard.difference_interval[1] < 0


def test_exchanging_answers_gives_the_exact_share():
    # Two items differ, one way, in both seeds: half of all exchanges leave as large a difference.
    runs = [outcome(name, said, seed=seed) for name, said in (("full", GOOD), ("hard", WORSE)) for seed in (0, 1)]
    assert summarise(runs)[1].p_value == pytest.approx(0.5, abs=0.04)


def test_all_rows_share_the_correction():
    labels = tuple([0, 1] * 200)
    worse = labels[:380] + tuple(1 - label for label in labels[380:])
    full = outcome("full", labels, labels=labels)
    same = [RunOutcome("paper", "hard", 0, labels, worse, 2, control) for control in (None, "random", "window")]
    rows = summarise([full, *same])[1:]
    assert [row.p_holm for row in rows] == pytest.approx([min(1.0, 3 * row.p_value) for row in rows])
