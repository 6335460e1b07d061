"""From what heads read far to a grammar, whose rules are named by what they do."""

from collections.abc import Iterator

from ..grammar.grammar import Grammar
from ..grammar.rules import Reach, Rule
from ..grammar.tags import NAMES, UPOS
from .far_reads import FULL, NAMED, SINK_TOKENS, Choice


def far_grammar(choice: Choice, window: int, *, name: str, description: str = "", source: str = "") -> Grammar:
    """Return the grammar of a choice: the first tokens are sinks, all words read a window, some heads read far."""
    rules = (
        Rule(("[CLS]", "[SEP]"), UPOS, Reach("document"), name="structural tokens read all words"),
        Rule(UPOS, UPOS, Reach("words", -window, 0), name=f"any word reads the {window} words before it"),
        *_far_rules(choice, NAMED, NAMES, "any word reads far names and numbers"),
        *_far_rules(choice, FULL, UPOS, "any word reads all far words"),
    )
    return Grammar(
        name, rules, sinks=("[CLS]", "[SEP]"), sink_tokens=SINK_TOKENS, description=description, source=source
    )


def _far_rules(choice: Choice, reads: int, key: tuple[str, ...], role: str) -> Iterator[Rule]:
    for layer, of_heads in enumerate(choice):
        if heads := tuple(int(head) for head in (of_heads == reads).nonzero()[0]):
            yield Rule(UPOS, key, layers=(layer,), heads=heads, name=role)
