"""Rows of a perplexity run from their records: losses by stratum, and differences paired by document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...grammar.tags import TAGS
from ...resampling import Floats, bootstrap
from .loss_record import as_arrays
from .strata import DISTANCES, GROUPS


@dataclass(frozen=True, eq=False)
class RowLosses:
    """Sums of losses and counts of tokens of one row: (texts, tags, distances)."""

    losses: Floats
    tokens: Floats

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]]) -> "RowLosses":
        """Collect the records of a row, one for each text in order."""
        losses, tokens = zip(*(as_arrays(dict(record)) for record in records), strict=True)
        return cls(np.stack(losses), np.stack(tokens))

    def strata(self) -> dict[str, dict[str, tuple[Floats, Floats]]]:
        """Return losses and tokens of each text (texts,), overall, by tag and group, and by distance."""
        by_tag = {
            tag: (self.losses[:, number].sum(1), self.tokens[:, number].sum(1)) for number, tag in enumerate(TAGS)
        }
        groups = {
            name: (sum(by_tag[tag][0] for tag in tags), sum(by_tag[tag][1] for tag in tags))
            for name, tags in GROUPS.items()
        }
        by_distance = {
            name: (self.losses[:, :, number].sum(1), self.tokens[:, :, number].sum(1))
            for number, name in enumerate(DISTANCES)
        }
        found = {
            "": {"": (self.losses.sum((1, 2)), self.tokens.sum((1, 2)))},
            "_by_tag": {**by_tag, **groups},
            "_by_distance": by_distance,
        }
        return {
            kind: {name: pair for name, pair in strata.items() if pair[1].sum() > 0} for kind, strata in found.items()
        }


def summarise_losses(row: RowLosses) -> dict[str, Any]:
    """Return the mean loss of a row in nats, overall, by tag and by distance; strata without a token are left out."""
    strata = row.strata()
    means = {
        kind: {
            name: {"loss": float(losses.sum() / tokens.sum()), "tokens": int(tokens.sum())}
            for name, (losses, tokens) in of_kind.items()
        }
        for kind, of_kind in strata.items()
    }
    overall = means.pop("")[""]
    return {"loss": overall["loss"], "tokens": overall["tokens"], **{f"loss{kind}": means[kind] for kind in means}}


def compare_losses(row: RowLosses, other: RowLosses) -> dict[str, Any]:
    """Return the difference of two rows on the same texts, overall, by tag and by distance."""
    ours, theirs = row.strata(), other.strata()
    found = {
        kind: {name: _difference(losses - theirs[kind][name][0], tokens) for name, (losses, tokens) in of_kind.items()}
        for kind, of_kind in ours.items()
    }
    return {"difference": found.pop("")[""], **{f"difference{kind}": found[kind] for kind in found}}


def _difference(losses: Floats, tokens: Floats) -> dict[str, Any]:
    """Return the mean difference a token, and its 95 % interval over documents; one document has no interval."""
    mean = float(losses.sum() / tokens.sum())
    documents = np.flatnonzero(tokens)
    if len(documents) < 2:
        return {"mean": mean, "low": None, "high": None}
    losses, tokens = losses[documents], tokens[documents]
    drawn = bootstrap(lambda times: (times @ losses) / (times @ tokens), len(documents))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"mean": mean, "low": float(low), "high": float(high)}
