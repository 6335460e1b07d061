"""Why a pair may be read: the implied reads and the rules, and which of them each pair of a text belongs to."""

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from ..attention.inputs import Annotation
from ..errors import ExplainError
from ..grammar.describe import describe_rule
from ..grammar.grammar import Grammar
from ..grammar.masks import first_tokens, within_reach
from ..grammar.rules import Rule, Strategy
from ..grammar.tags import NEW, TAG_IDS, TAGS, UNK, UPOS

# Reads that need no rule, in the order in which they claim a pair.
IMPLIED: Final[tuple[str, ...]] = ("self", "same word", "sink", "[UNK]")
SAME_TAG: Final[str] = "same tag"
# The soft strategy blocks nothing: a pair that no rule matches is read too.
NO_RULE: Final[str] = "no rule"
NOBODY: Final[int] = -1  # the owner of a pair that may not be read


@dataclass(frozen=True)
class Source:
    """Why a pair may be read; `rule` is the index of the rule in the grammar, None where it is no rule."""

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
        Source(f"rule {number + 1}", rule.name or describe_rule(rule), number)
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
    """Return the rules of these numbers ("3"), keys ("rule 3") or names; raises `ExplainError` for an unknown one."""
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


class Owners:
    """The sources of one text's pairs.

    A pair that several sources allow belongs to the first of them: to an implied read before a rule, and to a rule
    before those after it in the grammar. Under the soft strategy it belongs to the strongest rule that matches it, the
    first of equals, whose strength it gets. Thus shares of attention add up to 1.
    """

    def __init__(self, grammar: Grammar, strategy: Strategy, annotation: Annotation, *, heads: int) -> None:
        self.sources = sources_of(grammar, strategy)
        self._grammar = grammar
        self._is_soft = strategy == "soft"
        self._heads = heads
        tags, words = annotation.tag_ids, annotation.word_ids
        query, key = tags[0][:, None], tags[0]
        same_tag = torch.where(query == NEW, key < len(UPOS), query == key)
        same_word = (words[0][:, None] == words[0]) & (words[0] >= 0)
        sinks = torch.tensor([TAG_IDS[tag] for tag in grammar.sinks], dtype=torch.long)
        is_sink = torch.isin(tags[0], sinks) | first_tokens(tags, grammar.sink_tokens)[0]
        unknown = tags[0] == UNK
        implied = (
            torch.eye(len(tags[0]), dtype=torch.bool), same_word, is_sink.expand_as(same_word),
            unknown | unknown[:, None],
        )  # fmt: skip
        self._pairs = dict(zip(IMPLIED, implied, strict=True)) | {SAME_TAG: same_tag}
        for source in self.sources:
            if source.rule is not None:
                self._pairs[source.key] = _pairs_of(grammar.rules[source.rule], annotation)

    def of_layer(self, layer: int) -> Tensor:
        """Return the index in `sources` of each pair's source: int16 (heads, length, length), -1 for none."""
        length = len(self._pairs[SAME_TAG])
        owners = torch.full((self._heads, length, length), NOBODY, dtype=torch.int16)
        if self._is_soft:
            owners[:] = 0
        for place in self._in_order():
            source = self.sources[place]
            pairs = self._pairs[source.key]
            rule = None if source.rule is None else self._grammar.rules[source.rule]
            if rule is None:
                owners[:, pairs] = place
            elif rule.applies_in_layer(layer):
                for head in range(self._heads) if rule.heads is None else rule.heads:
                    owners[head][pairs] = place
        return owners

    def has_pairs(self, source: Source) -> bool:
        """Whether a rule matches any pair of the text."""
        return bool(self._pairs[source.key].any())

    def _in_order(self) -> list[int]:
        """Return the indices of sources; the first to claim a pair comes last."""
        places = [place for place, source in enumerate(self.sources) if source.key in self._pairs]
        if not self._is_soft:
            return places[::-1]
        return sorted(places, key=lambda place: (self._strength(self.sources[place]), -place))

    def _strength(self, source: Source) -> float:
        return 0.0 if source.rule is None else self._grammar.rules[source.rule].strength


def _pairs_of(rule: Rule, annotation: Annotation) -> Tensor:
    """Return the pairs that a rule matches where it applies: bool (length, length)."""
    query, key = (
        torch.zeros(len(TAGS), dtype=torch.bool).index_fill(0, torch.tensor(tags), True)
        for tags in (rule.query_ids, rule.key_ids)
    )
    tags = annotation.tag_ids[0]
    pairs = query[tags][:, None] & key[tags]
    within = within_reach(rule.reach, annotation.word_ids, annotation.sentence_ids)
    return pairs if within is None else pairs & within[0]
