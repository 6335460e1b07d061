"""Why a pair may be read: one of the implied reads, or a rule."""

from dataclasses import dataclass, replace
from typing import Final

from ..errors import ExplainError
from ..grammar.describe import spell_rule
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy

# Reads that no rule is needed for, in the order in which they claim a pair.
IMPLIED: Final[tuple[str, ...]] = ("self", "same word", "sink", "[UNK]")
SAME_TAG: Final[str] = "same tag"
# The soft strategy blocks nothing: what no rule matches is read all the same.
NO_RULE: Final[str] = "no rule"


@dataclass(frozen=True)
class Source:
    """Why a pair may be read; `rule` is the rule's place in the grammar, from 0, None for what is no rule."""

    key: str
    name: str
    rule: int | None = None

    @property
    def is_rule(self) -> bool:
        """Whether it can be switched off: a rule, or same-tag reading."""
        return self.rule is not None or self.key == SAME_TAG


def sources_of(grammar: Grammar, strategy: Strategy) -> tuple[Source, ...]:
    """Return all sources of a grammar, implied reads first; "rule 1" is the first of the file."""
    implied = IMPLIED if strategy == "hard" else (NO_RULE,)
    rules = [
        Source(f"rule {number + 1}", rule.name or spell_rule(rule), number)
        for number, rule in enumerate(grammar.rules)
        if rule.allow or strategy == "soft"
    ]
    same = [Source(SAME_TAG, "every tag reads its own tag")] if grammar.same_tag else []
    return (*(Source(name, name) for name in implied), *rules, *same)


def without(grammar: Grammar, source: Source) -> Grammar:
    """Return the grammar without one of its rules."""
    if source.rule is None:
        return replace(grammar, same_tag=False)
    return replace(grammar, rules=(*grammar.rules[: source.rule], *grammar.rules[source.rule + 1 :]))


def find_sources(sources: tuple[Source, ...], wanted: tuple[str, ...]) -> tuple[Source, ...]:
    """Return the rules that are called so by number ("3"), key ("rule 3") or name; raises `ExplainError`."""
    found = []
    for name in wanted:
        match = [source for source in sources if source.is_rule and name in (source.key, source.name, _number(source))]
        if not match:
            rules = [source.key for source in sources if source.is_rule]
            known = f"{rules[0]} to {rules[-1]}" if len(rules) > 1 else ", ".join(rules) or "none"
            raise ExplainError(f"unknown rule {name!r}; the grammar has {known}, see `grammask grammar show`")
        found += match
    return tuple(dict.fromkeys(found))


def _number(source: Source) -> str:
    return "" if source.rule is None else str(source.rule + 1)
