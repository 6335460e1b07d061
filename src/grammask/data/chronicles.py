"""The built-in long texts: chronicles of invented towns, whose people, places, dates and sums come back far later.

They are written by this program, from sentences of its own, to show what far names are worth. They are no sample of
English: texts of your own decide what a grammar costs there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from itertools import count
from typing import Final

from ..files.read import parse_toml

COUNT: Final[int] = 4
_PEOPLE: Final[int] = 14
_PLACES: Final[int] = 9
_PARAGRAPHS: Final[int] = 56
_FAR: Final[int] = 14  # paragraphs after which a fact is told again, at least


def chronicles() -> dict[str, str]:
    """Return the built-in texts by name: always the same."""
    content = (files("grammask") / "data" / "chronicles.toml").read_text(encoding="utf-8")
    words: dict[str, list[str]] = parse_toml(content, origin="chronicles.toml")
    return {
        f"chronicle-{number}": "\n\n".join(_Chronicle(number, words).paragraphs()) for number in range(1, COUNT + 1)
    }


class _Chronicle:
    """One town: its people, its places, and what was told of them so far."""

    def __init__(self, number: int, words: Mapping[str, Sequence[str]]) -> None:
        self._number = number
        self._words = words
        self._draws = count()
        self._people = self._distinct(lambda: f"{self._pick('given')} {self._name()}", _PEOPLE)
        self._places = self._distinct(self._name, _PLACES)

    def paragraphs(self) -> Iterator[str]:
        """Yield the paragraphs: each tells a new fact, and from some time on one that was told long ago."""
        told: list[dict[str, str]] = []
        for place in range(_PARAGRAPHS):
            fact = self._fact()
            sentences = [_capital(self._pick("facts").format(**fact)), *self._fillers(fact)]
            if place >= _FAR:
                old = told[self._below(place - _FAR + 1)]
                sentences.append(" ".join((self._pick("links"), self._pick("recalls").format(**old))))
            told.append(fact)
            yield " ".join(sentences)

    def _fact(self) -> dict[str, str]:
        """Return who did what to whom, where, when and for how much."""
        one, other = self._two(self._people)
        here, there = self._two(self._places)
        return {
            "one": one, "last": one.split()[1], "other": other, "here": here, "there": there,
            "year": str(1700 + self._below(180)), "day": str(1 + self._below(28)), "month": self._pick("months"),
            "sum": f"{2 + self._below(97):d},{self._below(1000):03d}", "few": str(3 + self._below(60)),
            "trade": self._pick("trades"), "ware": self._pick("wares"), "season": self._pick("seasons"),
            "kind": self._pick("kinds"),
        }  # fmt: skip

    def _fillers(self, fact: dict[str, str]) -> Iterator[str]:
        for _ in range(1 + self._below(2)):
            yield self._pick("fillers").format(**{**fact, "season": self._pick("seasons"), "ware": self._pick("wares")})

    def _name(self) -> str:
        return self._pick("heads") + self._pick("ends")

    def _distinct(self, make: Callable[[], str], size: int) -> list[str]:
        found: dict[str, None] = {}
        while len(found) < size:
            found[make()] = None
        return list(found)

    def _two(self, items: Sequence[str]) -> tuple[str, str]:
        first = self._below(len(items))
        second = (first + 1 + self._below(len(items) - 1)) % len(items)
        return items[first], items[second]

    def _pick(self, kind: str) -> str:
        items = self._words[kind]
        return items[self._below(len(items))]

    def _below(self, limit: int) -> int:
        """Draw a number from 0; by a hash, so that every version of every library draws the same."""
        draw = sha256(f"{self._number} {next(self._draws)}".encode()).digest()
        return int.from_bytes(draw[:8], "big") % limit


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
