"""Reaches and rules: frozen objects that say which tags may read which, and how far.

The meaning of every field is in docs/grammar.md; `masks.py` is its executable definition.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..errors import GrammarError
from ..printing import quoted
from .limits import LONGEST_NAME_OF_RULE, MAX_HEADS, MAX_LAYERS, check_text
from .tags import NAMED, NEW, TAG_IDS, UPOS, check_tags

Strategy = Literal["full", "hard", "soft"]
STRATEGIES: Final[tuple[Strategy, ...]] = ("full", "hard", "soft")

# Bounded reaches stay below this; the second text of a pair is numbered from beyond it (see align.py).
MAX_OFFSET: Final[int] = 1_000_000
# Logits. Far below this a weight is already 0 or all there is, and far above it float16 overflows.
MAX_STRENGTH: Final[float] = 10_000.0


def check_strategy(strategy: str) -> Strategy:
    """Return `strategy`; raise `GrammarError` unless it is "full", "hard" or "soft"."""
    for known in STRATEGIES:
        if isinstance(strategy, str) and strategy == known:
            return known
    raise GrammarError(f"unknown strategy {quoted(strategy)}; strategies are: {', '.join(STRATEGIES)}")


@dataclass(frozen=True)
class Reach:
    """How far a rule sees: the document, the sentence, or some words around.

    Structural tokens belong to no word and no sentence, so only a document reach can name them.

    Args:
        kind: "document", "sentence" or "words".
        lo: For "words": key word j is within reach of query word i when lo <= j - i <= hi.
        hi: See `lo`. Both stay within +-999,999.

    Raises:
        GrammarError: For an unknown kind, and bounds that are none or leave nothing.

    Example:
        >>> grammask.Reach("words", -4, 8).spell()
        [-4, 8]
        >>> grammask.Reach.parse("sentence")
        Reach(kind='sentence', lo=0, hi=0)
    """

    kind: Literal["document", "sentence", "words"]
    lo: int = 0
    hi: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in ("document", "sentence", "words"):
            raise GrammarError(f"unknown reach {quoted(self.kind)}; a reach is {_REACHES}")
        for bound in (self.lo, self.hi):
            if not isinstance(bound, int) or isinstance(bound, bool):
                raise GrammarError(f"a word offset must be a whole number, but is {quoted(bound)}")
            if abs(bound) >= MAX_OFFSET:
                raise GrammarError(f"word offset {quoted(bound)} is too far: offsets stay within +-{MAX_OFFSET - 1}")
        if self.kind != "words" and (self.lo, self.hi) != (0, 0):
            raise GrammarError(f"a {self.kind} reach has no bounds, but got [{self.lo}, {self.hi}]")
        if self.lo > self.hi:
            raise GrammarError(f"reach [{self.lo}, {self.hi}] is empty: its first offset is beyond its last")

    @classmethod
    def parse(cls, value: object) -> "Reach":
        """Read the spelling of a grammar file: "document", "sentence" or a pair [lo, hi] of word offsets."""
        if isinstance(value, Reach):
            return value
        if isinstance(value, str) and value in ("document", "sentence"):
            return cls("document" if value == "document" else "sentence")
        if isinstance(value, list | tuple) and len(value) == 2:
            return cls("words", value[0], value[1])
        raise GrammarError(f"unknown reach {quoted(value)}; a reach is {_REACHES}")

    def spell(self) -> str | list[int]:
        """Return the spelling that `parse` reads."""
        return [self.lo, self.hi] if self.kind == "words" else self.kind


_REACHES = '"document", "sentence" or a pair of word offsets such as [-4, 8]'


@dataclass(frozen=True)
class Rule:
    """Query tags that may read key tags within a reach.

    Args:
        query: The tags that read; see `TAGS`.
        key: The tags that are read.
        reach: How far: a `Reach`, or its spelling in a file ("document", "sentence", [-4, 8]).
        strength: What soft attention adds to the score of a matching pair: logits, after scaling by 1/sqrt(head_dim),
            within +-10,000. Of several matching rules the largest counts.
        allow: False makes the rule soft-only: hard attention doesn't read it.
        layers: The layers in which it holds, counted from 0; None: all.
        heads: The heads in which it holds, counted from 0; None: all.
        name: For readers; it changes nothing.

    Raises:
        GrammarError: For an unknown or repeated tag, and a value that breaks these rules.

    Example:
        >>> rule = grammask.Rule(("VERB",), ("NOUN", "PRON"), reach=[-3, 3], layers=(0, 1))
        >>> rule.applies(layer=1, head=0), rule.applies(layer=2, head=0)
        (True, False)
    """

    query: tuple[str, ...]
    key: tuple[str, ...]
    reach: Reach = Reach("document")
    strength: float = 0.0
    allow: bool = True
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        for name in ("query", "key"):
            tags = check_tags(getattr(self, name), where=f"key {name!r}")
            if not tags:
                raise GrammarError(f"key {name!r} names no tag; tags are: {' '.join(NAMED)}")
            object.__setattr__(self, name, tags)
        object.__setattr__(self, "reach", Reach.parse(self.reach))
        object.__setattr__(self, "strength", _strength(self.strength))
        check_text(self.name, key="name", most=LONGEST_NAME_OF_RULE)
        if not isinstance(self.allow, bool):
            raise GrammarError(f"key 'allow' must be true or false, but is {quoted(self.allow)}")
        for name, most in (("layers", MAX_LAYERS), ("heads", MAX_HEADS)):
            object.__setattr__(self, name, _indices(getattr(self, name), name, most))

    def applies(self, layer: int, head: int) -> bool:
        """Tell whether the rule holds in this layer and head, both counted from 0."""
        return self.applies_in_layer(layer) and (self.heads is None or head in self.heads)

    def applies_in_layer(self, layer: int) -> bool:
        """Tell whether the rule holds in this layer, counted from 0, for any head."""
        return self.layers is None or layer in self.layers

    @property
    def query_ids(self) -> tuple[int, ...]:
        """The ids of the tags that read; `[NEW]` too, where any part of speech is named."""
        return _ids(self.query, with_new=True)

    @property
    def key_ids(self) -> tuple[int, ...]:
        """The ids of the tags that are read; within a word reach `[NEW]` too, where any part of speech is named."""
        return _ids(self.key, with_new=self.reach.kind == "words")

    def to_dict(self) -> dict[str, Any]:
        """Return the parsed form of the rule's TOML table; defaults are left out."""
        table: dict[str, Any] = {
            **({"name": self.name} if self.name else {}),
            "query": list(self.query),
            "key": list(self.key),
            "reach": self.reach.spell(),
        }
        if self.strength:
            table["strength"] = self.strength
        if not self.allow:
            table["allow"] = False
        for name in ("layers", "heads"):
            if getattr(self, name) is not None:
                table[name] = list(getattr(self, name))
        return table


def _ids(tags: tuple[str, ...], *, with_new: bool) -> tuple[int, ...]:
    named = tuple(TAG_IDS[tag] for tag in tags)
    return (*named, NEW) if with_new and any(tag < len(UPOS) for tag in named) else named


def _strength(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GrammarError(f"key 'strength' must be a number, but is {quoted(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise GrammarError(f"key 'strength' must be finite, but is {value!r}")
    if abs(value) > MAX_STRENGTH:
        raise GrammarError(f"key 'strength' must be within +-{MAX_STRENGTH:g} logits, but is {quoted(value)}")
    return float(value)


def _indices(value: object, name: str, most: int) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not value:
        raise GrammarError(f"key {name!r} must be a list of numbers counted from 0, but is {quoted(value)}")
    for index in value:
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise GrammarError(f"key {name!r}: {quoted(index)} is no number counted from 0")
        if index >= most:
            raise GrammarError(f"key {name!r}: {quoted(index)} is too large; a model has at most {most} {name} here")
    return tuple(sorted(set(value)))
