"""Which share of a context's keys a grammar keeps: those that some later token may still read."""

from dataclasses import replace

from ...attention.inputs import Annotation
from ...grammar.grammar import Grammar
from ...grammar.rules import Reach
from ..kept_keys import ModelHeads, keys_kept
from .passages import Passage


def kept_share(grammar: Grammar | None, context: Passage, heads: ModelHeads) -> float:
    """Return the share of a context's keys that are kept, a mean over layers and key-value heads.

    None is full attention, of which a model's own sliding windows leave less than all.
    """
    inputs = context.inputs
    annotation = Annotation(inputs["tag_ids"], inputs["word_ids"], inputs["sentence_ids"])
    return sum(keys_kept(grammar, annotation, heads)) / (len(context) * heads.layers * heads.key_heads)


def fit_window(grammar: Grammar, context: Passage, heads: ModelHeads, *, share: float, name: str) -> Grammar:
    """Return a grammar whose bounded reaches keep at most this share of a context, but one word at least."""
    shortest, longest = 1, int(context.inputs["word_ids"].max()) + 1
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if kept_share(_with_window(grammar, middle, name), context, heads) <= share:
            shortest = middle
        else:
            longest = middle - 1
    return _with_window(grammar, shortest, name)


def _with_window(grammar: Grammar, words: int, name: str) -> Grammar:
    rules = tuple(
        replace(rule, reach=Reach("words", -words, 0)) if rule.reach.kind == "words" else rule for rule in grammar.rules
    )
    return replace(grammar, name=name, rules=rules)
