"""The rows of a perplexity run: full attention, each grammar, and the controls of equal pairs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from ...attention.causal_pairs import Counts
from ...errors import ExperimentError
from ...grammar.describe import describe_sinks
from ...grammar.file import load_grammar
from ...grammar.grammar import Grammar
from . import other_keys, other_windows  # noqa: F401 - each registers its controls
from .config import PerplexityConfig
from .lookahead import reads_by_tags
from .pair_counter import PairCounter, far_shares
from .perplexity_control import EQUAL_CONTROLS, ControlInputs, bare_grammar

FULL = "full"


@dataclass(frozen=True)
class Row:
    """One row: full attention where it has no grammar.

    A row that has a `control` is one `of` a grammar, whose pairs it has; `tags` are other ones for each text.
    """

    name: str
    grammar: Grammar | None = None
    of: str | None = None
    control: str | None = None
    tags: tuple[Counts, ...] | None = None
    note: str = ""

    @cached_property
    def sha256(self) -> str:
        """The hash of grammar and tags: a record belongs to rows with the same one."""
        digest = sha256(b"" if self.grammar is None else self.grammar.to_toml().encode())
        for tags in self.tags or ():
            digest.update(tags.astype("<i8").tobytes())
        return digest.hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return what results tell of the row besides its figures; `loss_results.ROW_FACTS` names the keys."""
        return {
            "name": self.name,
            "control": self.control,
            "of": self.of,
            "note": self.note,
            "sinks": None if self.grammar is None else describe_sinks(self.grammar),
        }


def load_grammars(config: PerplexityConfig) -> dict[str, tuple[Grammar, bool]]:
    """Return the grammars by name, and whether each has controls.

    Raises `GrammarError` for one that cannot be read and `ExperimentError` for two that share a name.
    """
    limited = any(entry.endswith(":controls") for entry in config.grammars)
    found: dict[str, tuple[Grammar, bool]] = {}
    for entry in config.grammars:
        path = entry.removesuffix(":controls")
        grammar = load_grammar(path)
        if grammar.name == FULL:
            raise ExperimentError(f"a grammar is called {FULL!r}, as full attention is; rename it in its file")
        if grammar.name in found:
            raise ExperimentError(f"two grammars are called {grammar.name!r}; rename one of them in its file")
        found[grammar.name] = grammar, not limited or path != entry
    return found


def make_rows(
    config: PerplexityConfig, grammars: dict[str, tuple[Grammar, bool]], counter: PairCounter,
    tokens: tuple[Counts, ...], say: Callable[[str], None],
) -> list[Row]:  # fmt: skip
    """Return the rows of a run; `say` is told which controls a grammar doesn't have, and why."""
    rows = [Row(FULL)]
    for name, (grammar, controlled) in grammars.items():
        rows.append(Row(name, grammar))
        if controlled:
            rows += _controls(config, grammar, counter, tokens, say)
    if len({row.name for row in rows}) < len(rows):
        raise ExperimentError("a grammar has the name of another one's control; rename it in its file")
    return rows


def _controls(
    config: PerplexityConfig, grammar: Grammar, counter: PairCounter, tokens: tuple[Counts, ...],
    say: Callable[[str], None],
) -> Iterator[Row]:  # fmt: skip
    wanted = counter.share(grammar)
    has_far = bool((far_shares(grammar, counter) > 0).any())
    has_tags = reads_by_tags(grammar, layers=counter.layers, heads=counter.heads)
    for name in config.controls:
        control = EQUAL_CONTROLS[name]
        if not has_far or (control.needs_tags and not has_tags):
            why = "no rule leads to far words" if not has_far else "its rules tell no tags apart"
            say(f"{grammar.name} has no control {name}: {why}")
            continue
        bare = bare_grammar(grammar, name)
        made = control.make(ControlInputs(grammar, bare, counter, wanted, tokens, config.seed))
        yield Row(bare.name, made.grammar, grammar.name, name, made.tags, made.note)
