"""From what heads read far to a grammar, whose rules are named by what they do."""

from collections.abc import Iterator

import numpy as np

from ..grammar.grammar import Grammar
from ..grammar.rules import Reach, Rule
from ..grammar.tags import NAMES, UPOS
from .far_reads import FULL, NAMED, SINK_TOKENS, WIDER, Choice, Windows


def far_grammar(choice: Choice, windows: Windows, *, name: str, description: str = "", source: str = "") -> Grammar:
    """Return the grammar of a choice: the first tokens are sinks, all words read a window, some heads read far."""
    near, wide = (Reach("words", -words, 0) for words in (windows.near, windows.wide))
    rules = (
        Rule(("[CLS]", "[SEP]"), UPOS, Reach("document"), name="structural tokens read all words"),
        Rule(UPOS, UPOS, near, name=_role(windows.near)),
        *_far_rules(choice, WIDER, UPOS, wide, _role(windows.wide)),
        *_far_rules(choice, NAMED, NAMES, Reach("document"), "any word reads far names and numbers"),
        *_far_rules(choice, (FULL,), UPOS, Reach("document"), "any word reads all far words"),
    )
    return Grammar(
        name, rules, sinks=("[CLS]", "[SEP]"), sink_tokens=SINK_TOKENS, description=description, source=source
    )


def _role(words: int) -> str:
    return f"any word reads the {words} words before it"


def _far_rules(choice: Choice, reads: tuple[int, ...], key: tuple[str, ...], reach: Reach, role: str) -> Iterator[Rule]:
    for layer, of_heads in enumerate(choice):
        if heads := tuple(int(head) for head in np.isin(of_heads, reads).nonzero()[0]):
            yield Rule(UPOS, key, reach, layers=(layer,), heads=heads, name=role)
