"""Minimal pairs of English: two sentences that differ in as little as makes one of them ungrammatical.

A small grammar of this program's own makes them, to ask a language model which of the two it holds for likelier. They
are simple and alike, so they say what a model can do, not how often it does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np

from ..errors import InputError
from ..files.read import parse_toml


@dataclass(frozen=True)
class MinimalPair:
    """A sentence, and one that is ungrammatical; what is scored is the word that both have, None for all of them."""

    good: str
    bad: str
    scored: str | None = None


class _Words:
    """Draws words by a seed."""

    def __init__(self, lists: dict[str, list[Any]], seed: Sequence[int]) -> None:
        self._lists = lists
        self._rng = np.random.default_rng(seed)

    def pick(self, name: str) -> Any:
        """Return one of a list: a word, or its forms."""
        return self._lists[name][self.below(len(self._lists[name]))]

    def two(self, name: str) -> tuple[Any, Any]:
        """Return two different ones of a list."""
        first, second = self._rng.choice(len(self._lists[name]), 2, replace=False)
        return self._lists[name][first], self._lists[name][second]

    def below(self, size: int) -> int:
        """Return a whole number from 0 to below `size`."""
        return int(self._rng.integers(size))


def _agreement(words: _Words) -> MinimalPair:
    subject = f"The {words.pick('adjectives')} {words.pick('persons')[number := words.below(2)]}"
    return _doing(subject, words, number)


def _prepositional(words: _Words) -> MinimalPair:
    (one, other), number = words.two("persons"), words.below(2)
    return _doing(f"The {one[number]} {words.pick('nears')} the {other[1 - number]}", words, number)


def _relative(words: _Words) -> MinimalPair:
    (one, other), number = words.two("persons"), words.below(2)
    return _doing(f"The {one[number]} that the {other[1 - number]} {words.pick('likings')[1 - number]}", words, number)


def _doing(subject: str, words: _Words, number: int) -> MinimalPair:
    doing, place = words.pick("doings"), words.pick("places")
    return MinimalPair(f"{subject} {doing[number]} {place}.", f"{subject} {doing[1 - number]} {place}.")


def _determiner(words: _Words) -> MinimalPair:
    number, thing, place = words.below(2), words.pick("things"), words.pick("places")
    determiner = (("this", "these"), ("that", "those"))[words.below(2)][number]
    start = f"The {words.pick('persons')[0]} {words.pick('takes')[1]} {determiner} {words.pick('looks')}"
    return MinimalPair(f"{start} {thing[number]} {place}.", f"{start} {thing[1 - number]} {place}.")


def _reflexive(words: _Words) -> MinimalPair:
    kind = words.below(2)
    number, other = words.below(2), words.pick("persons")
    own = (("himself", "themselves"), ("herself", "themselves"))[kind]
    start = f"The {words.pick(('men', 'women')[kind])[number]} {words.pick('nears')} the {other[1 - number]}"
    start += f" {words.pick('hurts')}"
    return MinimalPair(f"{start} {own[number]}.", f"{start} {own[1 - number]}.")


def _ever(words: _Words) -> MinimalPair:
    person, end = words.pick("persons"), f"has ever {words.pick('doings')[2]} {words.pick('places')}."
    licensed, other = (("No {0}", "The {0}"), ("None of the {1}", "One of the {1}"))[words.below(2)]
    return MinimalPair(f"{licensed.format(*person)} {end}", f"{other.format(*person)} {end}", "ever")


def _any(words: _Words) -> MinimalPair:
    start, end = (
        f"The {words.pick('persons')[words.below(2)]}",
        f"any {words.pick('things')[1]} {words.pick('places')}.",
    )
    plain, past = words.pick("takes")
    if words.below(2):
        return MinimalPair(f"{start} did not {plain} {end}", f"{start} did also {plain} {end}", "any")
    return MinimalPair(f"{start} never {past} {end}", f"{start} often {past} {end}", "any")


def _scope(words: _Words) -> MinimalPair:
    one, other = words.two("persons")
    middle = f"{other[0]} {words.pick('likings')[0]} has ever {words.pick('doings')[2]} {words.pick('places')}."
    return MinimalPair(f"No {one[0]} that the {middle}", f"The {one[0]} that no {middle}", "ever")


PHENOMENA: Final[dict[str, tuple[str, Callable[[_Words], MinimalPair]]]] = {
    "agreement": ("a verb agrees with the subject before it", _agreement),
    "agreement-prepositional": ("the same across a phrase with a noun of the other number", _prepositional),
    "agreement-relative": ("the same across a relative clause with a noun of the other number", _relative),
    "determiner": ("a noun agrees with this, that, these or those, with an adjective between them", _determiner),
    "reflexive": ("himself, herself or themselves agrees with its subject, not with a noun between them", _reflexive),
    "npi-ever": ("ever is licensed by no or none", _ever),
    "npi-any": ("any is licensed by not or never", _any),
    "npi-scope": ("ever is licensed by no before the subject, not by one in its relative clause", _scope),
}


def minimal_pairs(phenomenon: str, count: int, *, seed: int) -> list[MinimalPair]:
    """Return so many different pairs of a phenomenon, always the same ones by a seed.

    Raises `InputError` for an unknown phenomenon, and for more pairs than it has.
    """
    if phenomenon not in PHENOMENA:
        raise InputError(f"no phenomenon is called {phenomenon!r}; phenomena are {', '.join(PHENOMENA)}")
    content = (files("grammask") / "data" / "minimal_pairs.toml").read_text(encoding="utf-8")
    words = _Words(parse_toml(content, origin="minimal_pairs.toml"), [seed, list(PHENOMENA).index(phenomenon)])
    make, found = PHENOMENA[phenomenon][1], dict[MinimalPair, None]()
    for _ in range(20 * count):
        found[make(words)] = None
        if len(found) == count:
            return list(found)
    raise InputError(f"{count:,} different pairs of {phenomenon!r} cannot be drawn; ask for fewer than {len(found):,}")
