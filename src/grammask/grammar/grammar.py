"""The grammar: a named, frozen list of rules plus sinks.

The meaning of every field is in docs/grammar.md; `masks.py` is its executable definition.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from textwrap import fill
from typing import Any, Final

import tomli_w

from ..errors import GrammarError
from ..files.names import check_file_name
from ..printing import quoted
from .limits import (
    LONGEST_TEXT,
    MAX_REACHES,
    MAX_RULES,
    MAX_SINK_TOKENS,
    MAX_TABLES,
    check_count,
    check_size,
    check_text,
)
from .rules import Rule
from .tags import STRUCTURAL, check_tags

_LINE: Final[int] = 116


@dataclass(frozen=True)
class Grammar:
    """A named list of rules, and what everyone may read.

    Every token may also read itself, the other subwords of its word, and `[UNK]`, which reads everything. A grammar is
    frozen; see `load_grammar` for files and shipped grammars.

    Args:
        name: 1 to 64 letters A-Z and a-z, digits, ".", "_" and "-", the first a letter or digit: it is part of file
            names.
        rules: The rules. Hard attention reads what any of them allows; of several, explanations name the first.
        sinks: Structural tags that everyone may read: "[CLS]", "[SEP]", "[UNK]".
        same_tag: Whether every tag reads its own tag, at any distance (strength 0).
        description: What it is, for readers.
        source: Where it comes from, for readers.
        sink_tokens: How many tokens at the beginning of each text everyone may read, whatever their tags: for models
            that have no token of their own there. Padding doesn't count, [CLS] does; 0 to 10,000.

    Raises:
        GrammarError: For a field that breaks these rules or a limit.

    Example:
        >>> rule = grammask.Rule(query=("ADJ", "DET"), key=("NOUN",), reach=grammask.Reach("words", 1, 4))
        >>> print(grammask.Grammar("nouns", (rule,), sinks=("[CLS]",)).to_toml(), end="")
        name = "nouns"
        sinks = ["[CLS]"]
        same_tag = false
        <BLANKLINE>
        [[rule]]
        query = ["ADJ", "DET"]
        key = ["NOUN"]
        reach = [1, 4]
    """

    name: str
    rules: tuple[Rule, ...] = ()
    sinks: tuple[str, ...] = ()
    same_tag: bool = False
    description: str = ""
    source: str = ""
    sink_tokens: int = 0

    def __post_init__(self) -> None:
        for key in ("name", "description", "source"):
            check_text(getattr(self, key), key=key, most=LONGEST_TEXT)
        check_file_name(self.name, what="key 'name'", error=GrammarError)
        if not isinstance(self.same_tag, bool):
            raise GrammarError(f"key 'same_tag' must be true or false, but is {quoted(self.same_tag)}")
        object.__setattr__(self, "sinks", check_tags(self.sinks, where="key 'sinks'"))
        for tag in self.sinks:
            if tag not in STRUCTURAL or tag == "[PAD]":
                raise GrammarError(
                    f"key 'sinks': {tag!r} is no sink; sinks are [CLS] [SEP] [UNK], padding is never read"
                )
        check_count(self.sink_tokens, key="sink_tokens", most=MAX_SINK_TOKENS)
        if not isinstance(self.rules, list | tuple):
            raise GrammarError(f"key 'rules' must be a list of rules, but is {quoted(self.rules)}")
        check_size(len(self.rules), most=MAX_RULES, what="rules")
        object.__setattr__(self, "rules", tuple(self.rules))
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise GrammarError(f"key 'rules' must hold Rule objects, but holds {quoted(rule)}")
        check_size(self.reaches, most=MAX_REACHES, what="different reaches")

    @property
    def reaches(self) -> int:
        """How many different reaches the rules have."""
        return len({rule.reach for rule in self.rules})

    @cached_property
    def needs_sentences(self) -> bool:
        """Whether any rule has sentence reach, so that `sentence_ids` are needed."""
        return any(rule.reach.kind == "sentence" for rule in self.rules)

    @property
    def varies_by_layer(self) -> bool:
        """Whether any rule is limited to some layers."""
        return any(rule.layers is not None for rule in self.rules)

    @property
    def layers_named(self) -> int:
        """How many layers a model must have for all that the rules name."""
        return max((rule.layers[-1] + 1 for rule in self.rules if rule.layers), default=0)

    @property
    def varies_by_head(self) -> bool:
        """Whether any rule is limited to some heads."""
        return any(rule.heads is not None for rule in self.rules)

    def check_fits(self, *, layers: int, heads: int) -> None:
        """Raise `GrammarError` for a layer or head that a model of this size doesn't have, and for too many tables."""
        for number, rule in enumerate(self.rules, start=1):
            for name, indices, size in (("layers", rule.layers, layers), ("heads", rule.heads, heads)):
                if indices is not None and indices[-1] >= size:
                    raise GrammarError(
                        f"grammar {self.name!r}, rule {number}: key {name!r} names {indices[-1]}, but the model has "
                        f"{size} {name}, counted from 0"
                    )
        tables = (layers if self.varies_by_layer else 1) * (heads if self.varies_by_head else 1) * (self.reaches + 1)
        check_size(tables, most=MAX_TABLES, what="tables, one for each reach of each layer and head that rules name")

    def to_dict(self) -> dict[str, Any]:
        """Return the parsed form of the grammar's file: plain dicts, lists, strings, numbers; defaults left out."""
        data: dict[str, Any] = {"name": self.name}
        for key in ("description", "source"):
            if getattr(self, key):
                data[key] = getattr(self, key)
        data["sinks"] = list(self.sinks)
        if self.sink_tokens:
            data["sink_tokens"] = self.sink_tokens
        data["same_tag"] = self.same_tag
        if self.rules:
            data["rule"] = [rule.to_dict() for rule in self.rules]
        return data

    @property
    def sha256(self) -> str:
        """The hash of the grammar's file as `to_toml` writes it."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()

    def to_toml(self) -> str:
        """Return the grammar as the text of a grammar file, which reads back as an equal grammar."""
        return _ARRAY.sub(_in_few_lines, tomli_w.dumps(self.to_dict()))


# An array as tomli_w writes it, an item a line: strings without brackets or escapes, and numbers.
_ARRAY: Final = re.compile(r"\[\n((?:    [^\n\\]+,\n)+)\]")


def _in_few_lines(array: re.Match[str]) -> str:
    items = " ".join(line.strip() for line in array[1].splitlines()).removesuffix(",")
    if len(items) <= _LINE - len("query = []"):
        return f"[{items}]"
    filled = fill(items, _LINE, initial_indent="  ", subsequent_indent="  ", break_long_words=False)
    return f"[\n{filled},\n]"
