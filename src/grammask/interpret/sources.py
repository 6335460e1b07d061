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
from ..printing import quoted

# Reads that need no rule, in the order in which they claim a pair.
IMPLIED: Final[tuple[str, ...]] = ("self", "same word", "sink", "[UNK]")
SAME_TAG: Final[str] = "same tag"
# The soft strategy blocks nothing: a pair that no rule matches is read too.
NO_RULE: Final[str] = "no rule"
NOBODY: Final[int] = -1  # the owner of a pair that may not be read


@dataclass(frozen=True)
class Source:
    """Why a pair may be read: an implied read, or a rule.

    `rule` is the index of the rule in the grammar, None where it is no rule. Rules of one name are one source: `others`
    are the indices of those after the first, as where a rule is written down for each of several heads.
    """

    key: str
    name: str
    rule: int | None = None
    others: tuple[int, ...] = ()

    @property
    def is_rule(self) -> bool:
        """Whether it can be switched off: a rule, or same-tag reading."""
        return self.rule is not None or self.key == SAME_TAG

    @property
    def rules(self) -> tuple[int, ...]:
        """The indices of its rules in the grammar."""
        return () if self.rule is None else (self.rule, *self.others)


def sources_of(grammar: Grammar, strategy: Strategy) -> tuple[Source, ...]:
    """Return all sources of a grammar, implied reads first; "rule 1" is the first of the file.

    A rule without a name is called what it says.
    """
    implied = IMPLIED if strategy == "hard" else (NO_RULE,)
    named: dict[str, list[int]] = {}
    for number, rule in enumerate(grammar.rules):
        if rule.allow or strategy == "soft":
            named.setdefault(rule.name or describe_rule(rule), []).append(number)
    rules = [Source(f"rule {first + 1}", name, first, tuple(others)) for name, (first, *others) in named.items()]
    same = [Source(SAME_TAG, "every tag reads its own tag")] if grammar.same_tag else []
    return (*(Source(name, name) for name in implied), *rules, *same)


def without(grammar: Grammar, source: Source) -> Grammar:
    """Return the grammar without the rules of a source."""
    if source.rule is None:
        return replace(grammar, same_tag=False)
    off = set(source.rules)
    return replace(grammar, rules=tuple(rule for number, rule in enumerate(grammar.rules) if number not in off))


def find_sources(sources: tuple[Source, ...], wanted: tuple[str, ...]) -> tuple[Source, ...]:
    """Return the rules of these numbers ("3"), keys ("rule 3") or names; raises `ExplainError` for an unknown one."""
    found = []
    for name in wanted:
        # Names are what callers give: a list, too, is no rule's.
        match = [source for source in sources if isinstance(name, str) and source.is_rule and name in _names(source)]
        if not match:
            raise ExplainError(f"unknown rule {quoted(name)}; the grammar has {_known(sources)}")
        found += match
    return tuple(dict.fromkeys(found))


def _names(source: Source) -> set[str]:
    numbers = [str(rule + 1) for rule in source.rules]
    return {source.key, source.name, *numbers, *(f"rule {number}" for number in numbers)}


def _known(sources: tuple[Source, ...]) -> str:
    rules = [f"rule {rule + 1}" for source in sources for rule in source.rules]
    keys = sorted(rules, key=lambda key: int(key.split()[1])) + [
        source.key for source in sources if source.is_rule and not source.rules
    ]
    known = f"{keys[0]} to {keys[-1]}" if len(keys) > 1 else ", ".join(keys) or "none"
    return f"{known}, see `grammask grammar show`"


class Owners:
    """The sources of one text's pairs.

    A pair that several sources allow belongs to the first of them: to an implied read before a rule, and to a rule
    before those after it in the grammar. Under the soft strategy it belongs to the strongest rule that matches it, the
    first of equals, whose strength it gets. Thus shares of attention add up to 1. What a `causal` model itself doesn't
    read, whatever stands after the reader, belongs to nobody.
    """

    def __init__(
        self, grammar: Grammar, strategy: Strategy, annotation: Annotation, *, heads: int, causal: bool = False
    ) -> None:
        self.sources = sources_of(grammar, strategy)
        self._grammar = grammar
        self._is_soft = strategy == "soft"
        self._heads = heads
        tags = annotation.tag_ids[0]
        self._after = torch.ones(len(tags), len(tags), dtype=torch.bool).triu(1) if causal else None
        self._implied = _implied_pairs(grammar, annotation)
        self._annotation = annotation
        # Rules of different heads often say the same.
        self._said: dict[tuple[object, ...], Tensor] = {}

    def of_layer(self, layer: int) -> Tensor:
        """Return the index in `sources` of each pair's source: int16 (heads, length, length), -1 for none."""
        length = self._annotation.tag_ids.shape[1]
        owners = torch.full((self._heads, length, length), NOBODY, dtype=torch.int16)
        if self._is_soft:
            owners[:] = 0
        for place, number in self._claims():
            if number is None:
                owners[:, self._implied[self.sources[place].key]] = place
                continue
            rule = self._grammar.rules[number]
            if rule.applies_in_layer(layer):
                pairs = self._pairs(rule)
                for head in range(self._heads) if rule.heads is None else rule.heads:
                    owners[head][pairs] = place
        if self._after is not None:
            owners[:, self._after] = NOBODY
        return owners

    def has_pairs(self, source: Source) -> bool:
        """Whether a rule matches any pair of the text."""
        found = [self._pairs(self._grammar.rules[rule]) for rule in source.rules] or [self._implied[source.key]]
        return any(bool((pairs if self._after is None else pairs & ~self._after).any()) for pairs in found)

    def differ(self, masks: Tensor, others: Tensor) -> bool:
        """Whether two masks or biases (1, heads, length, length) differ where the model reads."""
        if masks is others:
            return False
        found = masks != others
        return bool((found if self._after is None else found & ~self._after).any())

    def _claims(self) -> list[tuple[int, int | None]]:
        """Return the sources, each with the rule by which it claims pairs; the first to claim a pair comes last."""
        rules = sorted((rule, place) for place, source in enumerate(self.sources) for rule in source.rules)
        others = [(place, source.key) for place, source in enumerate(self.sources) if source.key in self._implied]
        same = [place for place, key in others if key == SAME_TAG]
        claims: list[tuple[int, int | None]] = [
            *((place, None) for place, key in others if key != SAME_TAG),
            *((place, rule) for rule, place in rules), *((place, None) for place in same),
        ]  # fmt: skip
        claims.reverse()
        return sorted(claims, key=lambda claim: self._strength(claim[1])) if self._is_soft else claims

    def _strength(self, rule: int | None) -> float:
        return 0.0 if rule is None else self._grammar.rules[rule].strength

    def _pairs(self, rule: Rule) -> Tensor:
        said = rule.query, rule.key, rule.reach
        if said not in self._said:
            self._said[said] = _pairs_of(rule, self._annotation)
        return self._said[said]


def _implied_pairs(grammar: Grammar, annotation: Annotation) -> dict[str, Tensor]:
    """Return the pairs of implied reads, and of same-tag reading: bool (length, length) each."""
    tags, words = annotation.tag_ids, annotation.word_ids
    same_word = (words[0][:, None] == words[0]) & (words[0] >= 0)
    sinks = torch.tensor([TAG_IDS[tag] for tag in grammar.sinks], dtype=torch.long)
    is_sink = torch.isin(tags[0], sinks) | first_tokens(tags, grammar.sink_tokens)[0]
    unknown = tags[0] == UNK
    implied = (
        torch.eye(len(tags[0]), dtype=torch.bool), same_word, is_sink.expand_as(same_word),
        unknown | unknown[:, None],
    )  # fmt: skip
    query, key = tags[0][:, None], tags[0]
    same_tag = torch.where(query == NEW, key < len(UPOS), query == key)
    return dict(zip(IMPLIED, implied, strict=True)) | {SAME_TAG: same_tag}


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
