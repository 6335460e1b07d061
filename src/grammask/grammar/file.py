"""Reading grammars: strict TOML files, and the grammars that are shipped.

An unknown key, tag or reach is an error that names the file, the rule and the key: a misspelt rule that is quietly
ignored would change what a model reads.
"""

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from os.path import isfile
from pathlib import Path
from typing import Any

from ..errors import GrammarError
from ..files.read import expand_home, parse_toml, read_text
from ..printing import quoted
from .grammar import Grammar
from .limits import MAX_BYTES
from .rules import Rule

_RULE_KEYS = tuple(field.name for field in fields(Rule))
_GRAMMAR_KEYS = (*(field.name for field in fields(Grammar) if field.name != "rules"), "rule")


@lru_cache  # a listing of the folder takes longer than attention over a short text
def shipped_grammars() -> tuple[str, ...]:
    """Return the names of the shipped grammars, sorted."""
    folder = files("grammask") / "grammar" / "shipped"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


@lru_cache  # grammars are frozen, and the operator may be called with a name each time
def _shipped(name: str) -> Grammar:
    text = (files("grammask") / "grammar" / "shipped" / f"{name}.toml").read_text(encoding="utf-8")
    return parse_grammar(text, origin=f"{name}.toml")


def load_grammar(name_or_path: Grammar | str | Path) -> Grammar:
    """Load a shipped grammar by name, or a grammar file by path.

    Files are read strictly: an error names the file, the rule and the key.

    Args:
        name_or_path: A shipped name, such as "paper-sinks", or the path of a TOML file. A `Grammar` comes back as it
            is.

    Returns:
        The grammar.

    Raises:
        GrammarError: For an unknown name, a missing or unreadable file, and an unknown or wrong key, tag or reach.

    Example:
        >>> banded = grammask.load_grammar("banded")
        >>> banded.sinks, banded.rules[0].reach
        (('[CLS]', '[SEP]'), Reach(kind='words', lo=-8, hi=8))
    """
    if isinstance(name_or_path, Grammar):
        return name_or_path
    if not isinstance(name_or_path, str | Path):
        raise GrammarError(f"a grammar is a name, a path or a Grammar, but got {quoted(name_or_path)}")
    name = str(name_or_path)
    if name in shipped_grammars():
        return _shipped(name)
    path = _find(name)
    if path is None:
        raise GrammarError(
            f"no grammar {quoted(name)}: neither a shipped grammar ({', '.join(shipped_grammars())}) nor a file"
            f"{_hint(name, shipped_grammars(), '; ')}"
        )
    return parse_grammar(read_text(path, error=GrammarError, most=MAX_BYTES), origin=str(path))


def _find(name: str) -> Path | None:
    path = expand_home(name)
    return path if isfile(path) else None  # no exception for a name too long, or a folder that is closed


def parse_grammar(text: str, *, origin: str = "grammar") -> Grammar:
    """Parse the text of a grammar file; errors name `origin` and the line (syntax) or the rule and key (meaning)."""
    return grammar_from_dict(parse_toml(text, origin=origin, error=GrammarError), origin=origin)


def grammar_from_dict(data: Mapping[str, Any], *, origin: str = "grammar") -> Grammar:
    """Build a grammar from the parsed form of a grammar file (also how it is stored in a model's config)."""
    if not isinstance(data, Mapping):
        raise GrammarError(f"{origin}: a grammar must be a table with a name, but is {quoted(data)}")
    _check_keys(data, _GRAMMAR_KEYS, origin)
    if "name" not in data:
        raise GrammarError(f"{origin}: key 'name' is missing; give the grammar a name")
    tables = data.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise GrammarError(f"{origin}: key 'rule' must be a list of tables; write each rule under [[rule]]")
    rules = tuple(_rule(table, f"{origin}: rule {number}") for number, table in enumerate(tables, start=1))
    try:
        return Grammar(**{key: value for key, value in data.items() if key != "rule"}, rules=rules)
    except GrammarError as error:
        raise GrammarError(f"{origin}: {error}") from error


def _rule(table: Mapping[str, Any], where: str) -> Rule:
    _check_keys(table, _RULE_KEYS, where)
    for key in ("query", "key"):
        if key not in table:
            raise GrammarError(f"{where}: key {key!r} is missing")
    try:
        return Rule(**table)
    except GrammarError as error:
        raise GrammarError(f"{where}: {error}") from error


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise GrammarError(
                f"{where}: unknown key {quoted(key)};{_hint(key, known, ' ')} Keys are: {', '.join(known)}"
            )


def _hint(name: object, known: tuple[str, ...], before: str) -> str:
    near = get_close_matches(quoted(name).strip("'"), known, n=1)
    return f"{before}did you mean {near[0]!r}?" if near else ""
