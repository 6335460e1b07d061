"""A grammar in words: who reads whom and how far, and what everyone reads."""

from typing import Final

from .grammar import Grammar
from .rules import Reach, Rule
from .tags import UPOS

_MANY: Final[int] = 9  # of 17 tags: for so many, it is shorter to name those that are missing


def describe_rule(rule: Rule) -> str:
    """Return a rule in words: ADJ DET read NOUN PROPN 1 to 3 words after."""
    return f"{_tags(rule.query)} read {describe_keys(rule)}"


def describe_keys(rule: Rule) -> str:
    """Return what a rule's words read: NOUN PROPN 1 to 3 words after."""
    return f"{_tags(rule.key)} {_reach(rule.reach)}"


def describe_sinks(grammar: Grammar) -> str:
    """Return what everyone may read: [CLS] [SEP], the first 4 tokens."""
    count = grammar.sink_tokens
    first = ["the first token" if count == 1 else f"the first {count:,} tokens"] if count else []
    return ", ".join([*([" ".join(grammar.sinks)] if grammar.sinks else []), *first]) or "none"


def _tags(tags: tuple[str, ...]) -> str:
    missing = [tag for tag in UPOS if tag not in tags]
    others = [tag for tag in tags if tag not in UPOS]
    if len(tags) - len(others) < _MANY:
        return " ".join(tags)
    words = "all words" if not missing else f"all but {' '.join(missing)}"
    return " ".join([words, *(f"and {tag}" for tag in others)])


def _reach(reach: Reach) -> str:
    if reach.kind != "words":
        return "anywhere" if reach.kind == "document" else "within the sentence"
    if reach.lo < 0 < reach.hi:
        return f"from {-reach.lo} before to {reach.hi} after"
    near, far, side = (-reach.hi, -reach.lo, "before") if reach.hi <= 0 else (reach.lo, reach.hi, "after")
    if near == far:
        return f"{far} {side}"
    return f"up to {far} {side}" if near <= 1 else f"{near} to {far} {side}"
