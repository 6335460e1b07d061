"""The pairs that grammars allow on the texts of a run, and what part of a grammar they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...attention.causal_pairs import CausalText, Counts, count_causal_pairs
from ...attention.position_mask import PositionMask
from ...grammar.grammar import Grammar
from ...grammar.rules import Rule
from ...grammar.tables import ReachTables, compile_layers
from ...grammar.tags import UPOS

Tags = Sequence[Counts] | Mapping[int, Counts]  # of each text, by its number


@dataclass(frozen=True)
class PairCounter:
    """Counts pairs on `texts` for a model of this size; `positions` are its own masks, one for each layer."""

    texts: Sequence[CausalText]
    layers: int
    heads: int
    positions: tuple[PositionMask, ...]

    @property
    def everything(self) -> int:
        """All causal pairs of one head of one layer."""
        return sum(len(text) * (len(text) + 1) // 2 for text in self.texts)

    def retagged(self, tags: Tags) -> "PairCounter":
        """Return the counter of the same texts under other tags, of all of them or some."""
        numbers = tags.keys() if isinstance(tags, Mapping) else range(len(tags))
        other = {number: replace(self.texts[number], tags=tags[number]) for number in numbers}
        return replace(self, texts=[other.get(number, text) for number, text in enumerate(self.texts)])

    def by_head(self, grammar: Grammar) -> Counts:
        """Return the pairs that each head reads on all texts together: (layers, heads)."""
        tables = _compiled(grammar, self.layers, self.heads)
        return sum(
            (self._of(tables, number) for number in range(len(self.texts))),
            np.zeros((self.layers, self.heads), dtype=np.int64),
        )

    def of_text(self, grammar: Grammar, number: int) -> Counts:
        """Return the same for one text."""
        return self._of(_compiled(grammar, self.layers, self.heads), number)

    def share(self, grammar: Grammar) -> float:
        """Return the share of causal pairs, a mean over heads and layers."""
        return float(self.by_head(grammar).mean() / self.everything)

    def _of(self, tables: Sequence[tuple[ReachTables, ...]], number: int) -> Counts:
        counts = count_causal_pairs(tables, self.texts[number], self.positions)
        return np.broadcast_to(counts, (self.layers, self.heads))


@lru_cache(maxsize=8)
def _compiled(grammar: Grammar, layers: int, heads: int) -> tuple[tuple[ReachTables, ...], ...]:
    return compile_layers(grammar, layers=layers, heads=heads)


def is_of_words(rule: Rule) -> bool:
    """Tell whether a rule is for words at all, as query and as key."""
    return any(tag in UPOS for tag in rule.query) and any(tag in UPOS for tag in rule.key)


def near_part(grammar: Grammar) -> Grammar:
    """Return a grammar without what words read of words by their tags at any distance."""
    rules = tuple(rule for rule in grammar.rules if rule.reach.kind != "document" or not is_of_words(rule))
    return replace(grammar, rules=rules, same_tag=False)


def far_shares(grammar: Grammar, counter: PairCounter) -> NDArray[np.float64]:
    """Return the share of all pairs of words that each head reads at any distance by tags: (layers, heads)."""
    far = replace(grammar, rules=tuple(rule for rule in grammar.rules if rule.reach.kind == "document"))
    none = near_part(far)
    every = replace(none, rules=(*none.rules, Rule(UPOS, UPOS)))
    least = counter.by_head(none)
    shares: NDArray[np.float64] = (counter.by_head(far) - least) / np.maximum(counter.by_head(every) - least, 1)
    return shares
