"""Statistics of minimal pairs: the share that is right under each row, by phenomenon and of all, beside full's."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from ...resampling import Floats, estimate
from ..plan_runs import RunSpec

ALL: Final[str] = "all"
# By how many nats the grammatical sentence of each pair has the higher score (pairs,).
Preferences = NDArray[np.float64]
_ROUNDING: Final[float] = 1e-4  # nats


def pair_rows(found: Mapping[RunSpec, Preferences], phenomena: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of a record; `phenomena` names that of each pair.

    A pair whose scores are equal but for rounding, as where nothing that differs is read, counts half: that is what
    guessing would get.
    """
    names = np.array(phenomena)
    chosen = {name: names == name for name in dict.fromkeys(phenomena)} | {ALL: np.ones(len(names), dtype=bool)}
    full = next((_right(values) for spec, values in found.items() if spec.strategy == "full"), None)
    return [
        {
            "id": spec.id,
            **spec.model_dump(exclude={"adaptation", "attention"}),
            "figures": {
                name: _figures(_right(values)[of_it], None if full is None or spec.strategy == "full" else full[of_it])
                for name, of_it in chosen.items()
            },
            "preferences": " ".join(f"{value:.4f}" for value in values),
        }
        for spec, values in found.items()
    ]


def _right(preferences: Preferences) -> Floats:
    equal = abs(preferences) <= _ROUNDING
    return np.where(equal, 0.5, (preferences > 0).astype(np.float64))


def _figures(right: Floats, full: Floats | None) -> dict[str, Any]:
    """Return the share that is right with Wilson's interval, and the difference to full with a bootstrap over pairs."""
    low, high = proportion_confint(right.sum(), len(right), method="wilson")
    figures = {
        "accuracy": float(right.mean()),
        "accuracy_interval": [float(low), float(high)],
        "equal": float((right == 0.5).mean()),
        "difference": None,
        "difference_interval": None,
    }
    if full is not None:
        found = estimate(partial(_mean, right - full), len(right))
        figures |= {"difference": found["value"], "difference_interval": found["interval"]}
    return figures


def _mean(values: Floats, times: Floats) -> Floats:
    means: Floats = times @ values / len(values)
    return means
