"""The runs of a comparison, planned from its settings: each row of the comparison with each seed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from ..errors import ExperimentError
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy
from .adaptations import ADAPTATIONS, Adaptation, Weights, weights_of
from .config import Config

_GUIDED: Final[tuple[Strategy, ...]] = ("hard", "soft")


class RowKey(NamedTuple):
    """What tells the rows of a comparison apart: all but the seed of a run."""

    grammar: str | None
    strategy: str
    control: str | None = None
    adaptation: str | None = None
    attention: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in self if part)


FULL: Final = RowKey(None, "full")


def row_key_of(fields: Mapping[str, Any]) -> RowKey:
    """Return the key of the row that a record, or another row of fields, belongs to; old ones lack `attention`."""
    return RowKey(**{name: fields[name] for name in RowKey._fields if name in fields})


class RunSpec(BaseModel):
    """One run: a strategy under a grammar (None for full), with a seed.

    `control` names what is broken on purpose, `adaptation` a way of training; they are None where there is none.
    `attention` is "fresh" where query, key and value weights are drawn anew, None where they are the model's.
    """

    model_config = ConfigDict(frozen=True)

    grammar: str | None
    strategy: Strategy
    control: str | None = None
    adaptation: Adaptation | None = None
    attention: Weights | None = None
    seed: int

    @property
    def id(self) -> str:
        """A name for files: paper-hard-seed0, paper-hard-random-seed0, full-fresh-seed0."""
        parts = (self.grammar, self.strategy, self.control, self.adaptation, self.attention, f"seed{self.seed}")
        return "-".join(part for part in parts if part)


def plan_runs(config: Config) -> tuple[tuple[RunSpec, ...], dict[str, Grammar]]:
    """Return all runs of a comparison, one seed after the other, and its grammars by name.

    Raises `GrammarError` for a grammar that cannot be read and `ExperimentError` for two that share a name, and for
    what is asked for and has no row.
    """
    grammars: dict[str, Grammar] = {}
    rows: dict[RowKey, None] = {FULL: None} if "full" in config.strategies else {}
    for entry in config.grammars:
        path, limit = _split(entry)
        grammar = load_grammar(path)
        if grammars.setdefault(grammar.name, grammar) != grammar:
            raise ExperimentError(f"two different grammars are called {grammar.name!r}; rename one of them in its file")
        rows.update(dict.fromkeys(_rows_of(grammar, path, limit, config)))
    _check_rows(rows, config)
    begun = [row._replace(attention=weights_of(config.attention, row.strategy)) for row in rows]
    specs = tuple(RunSpec(**row._asdict(), seed=seed) for seed in config.seeds for row in begun)
    if not specs:
        raise ExperimentError(
            f"no run is left: strategies are {', '.join(config.strategies)}, grammars {_told(config.grammars)}"
        )
    used = {spec.grammar for spec in specs}
    return specs, {name: grammar for name, grammar in grammars.items() if name in used}


def _rows_of(grammar: Grammar, path: str, limit: str | None, config: Config) -> Iterator[RowKey]:
    """Yield the rows of one grammar: its strategies, each with its ways of training, then its controls."""
    for strategy in _GUIDED:
        if strategy not in config.strategies or not _is_asked_for(strategy, limit):
            continue
        if strategy == "soft":
            check_strengths(grammar, f"{path}:hard")
        yield RowKey(grammar.name, strategy)
        for adaptation in config.adaptations:
            if ADAPTATIONS[adaptation].strategy == strategy:
                yield RowKey(grammar.name, strategy, adaptation=adaptation)
    if "hard" in config.strategies and (limit == "controls" or (limit is None and not _any_limited(config))):
        for control in config.controls:
            yield RowKey(grammar.name, "hard", control)


def _is_asked_for(strategy: Strategy, limit: str | None) -> bool:
    return limit in (None, strategy) or (limit == "controls" and strategy == "hard")


def _check_rows(rows: Collection[RowKey], config: Config) -> None:
    """Raise `ExperimentError` for a control or a way of training that no row has, rather than leave it out."""
    asked = [("control", name, "hard") for name in config.controls]
    asked += [("adaptation", name, ADAPTATIONS[name].strategy) for name in config.adaptations]
    there = {("control", row.control) for row in rows} | {("adaptation", row.adaptation) for row in rows}
    for kind, name, strategy in asked:
        if (kind, name) not in there:
            raise ExperimentError(
                f"{kind} {name!r} is for {strategy} grammars, and none is run so: strategies are "
                f"{', '.join(config.strategies)}, grammars {_told(config.grammars)}; add one, or leave it out"
            )


def _told(grammars: Sequence[str]) -> str:
    return ", ".join(grammars) or "none"


def check_strengths(grammar: Grammar, instead: str) -> None:
    """Raise `ExperimentError` for a grammar under which soft attention is full; `instead` is what to take."""
    if not any(rule.strength for rule in grammar.rules):
        raise ExperimentError(
            f"grammar {grammar.name!r} gives no rule a strength, so soft attention under it is full attention; write "
            f"strengths into its rules, or take {instead}"
        )


def _any_limited(config: Config) -> bool:
    """Tell whether the controls are for some of the grammars only."""
    return any(_split(entry)[1] == "controls" for entry in config.grammars)


def _split(entry: str) -> tuple[str, str | None]:
    path, colon, limit = entry.rpartition(":")
    return (path, limit) if colon and limit in (*_GUIDED, "controls") else (entry, None)
