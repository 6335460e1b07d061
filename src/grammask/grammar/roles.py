"""What single heads read, in a line each: for grammars that say it head by head."""

from collections.abc import Iterator, Sequence
from typing import Final

from .describe import describe_keys
from .grammar import Grammar
from .rules import Rule
from .tags import UPOS

# Readable up to so many; more are named by their tags alone.
_FEW: Final[int] = 3
_WORDS: Final[dict[str, str]] = {
    "ADJ": "adjectives", "ADP": "adpositions", "ADV": "adverbs", "AUX": "auxiliaries", "CCONJ": "conjunctions",
    "DET": "determiners", "INTJ": "interjections", "NOUN": "nouns", "NUM": "numbers", "PART": "particles",
    "PRON": "pronouns", "PROPN": "names", "PUNCT": "punctuation", "SCONJ": "subordinators", "SYM": "symbols",
    "VERB": "verbs", "X": "other words",
}  # fmt: skip

Place = tuple[int | None, int]  # a layer, None for each, and a head


def has_roles(grammar: Grammar) -> bool:
    """Whether all words of a head read alike, wherever rules name heads, so that a line says what a head reads."""
    return grammar.varies_by_head and all(
        rule.heads is None or (set(UPOS) <= set(rule.query) and rule.allow and not rule.strength)
        for rule in grammar.rules
    )


def head_roles(grammar: Grammar) -> list[tuple[str, str]]:
    """Return roles and which heads have them ("layer 12, head 3"), in the order of the heads; see `has_roles`.

    Rules that name no heads are left out.
    """
    roles: dict[str, list[Place]] = {}
    for place, numbers in rules_by_head(grammar):
        roles.setdefault(_role([grammar.rules[number] for number in numbers]), []).append(place)
    return [(spell_places(places), role) for role, places in roles.items()]


def rules_by_head(grammar: Grammar) -> Iterator[tuple[Place, list[int]]]:
    """Yield each head that rules name, in each layer that any of them names, with the indices of its rules."""
    of_heads = [(number, rule) for number, rule in enumerate(grammar.rules) if rule.heads is not None]
    layers: list[int | None] = [*sorted({layer for _, rule in of_heads for layer in rule.layers or ()})]
    for layer in layers or [None]:
        for head in sorted({head for _, rule in of_heads for head in rule.heads or ()}):
            found = [
                number
                for number, rule in of_heads
                if head in (rule.heads or ()) and (layer is None or rule.applies_in_layer(layer))
            ]
            if found:
                yield (layer, head), found


def _role(rules: Sequence[Rule]) -> str:
    """Return what a head reads: near words first, then what it reads far, of all its rules together."""
    near = [_near(rule) for rule in rules if rule.reach.kind != "document"]
    far = {tag for rule in rules if rule.reach.kind == "document" for tag in rule.key}
    ordered = tuple(tag for tag in UPOS if tag in far) + tuple(sorted(far - set(UPOS)))
    return "any word reads " + ", and ".join([*dict.fromkeys(near), *([_far(ordered)] if far else [])])


def _near(rule: Rule) -> str:
    reach = rule.reach
    if reach.kind == "words" and reach.hi in (0, -1) and reach.lo < reach.hi and set(UPOS) <= set(rule.key):
        return f"the {-reach.lo:,} words before it"
    return describe_keys(rule)


def _far(tags: tuple[str, ...]) -> str:
    if len(tags) > _FEW or any(tag not in _WORDS for tag in tags):
        return describe_keys(Rule(UPOS, tags))
    *others, last = (_WORDS[tag] for tag in tags)
    words = f"{', '.join(others)} and {last}" if others else last
    return f"far {words} ({', '.join(tags)})"


def spell_places(places: Sequence[Place]) -> str:
    """Return heads in words: layer 0, heads 3 4; layer 2, head 1."""
    by_layer: dict[int | None, list[int]] = {}
    for layer, head in places:
        by_layer.setdefault(layer, []).append(head)
    spelled = []
    for layer, heads in by_layer.items():
        of_layer = "" if layer is None else f"layer {layer}, "
        spelled.append(f"{of_layer}head{'s' if len(heads) > 1 else ''} {' '.join(map(str, heads))}")
    return "; ".join(spelled)
