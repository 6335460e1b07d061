"""Facts between the sentences of a text, at chosen distances from its end, where the questions are asked."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from .fact_wishes import Wish

# A sentence begins behind a full stop and the quotes or brackets that close with it, or on a line of its own.
_SENTENCE: Final = re.compile(r"""[.!?]["'\u2019\u201d)\]]*\s+(?=\S)|\n\s*(?=\S)""")
_WORD: Final = re.compile(r"\s(?=\S)")
Spans = list[tuple[int, int]]
_NEAR: Final[int] = 64  # tokens to the next sentence: a text without any takes facts between its words


@dataclass(frozen=True)
class Placed:
    """A fact in a text: `start` is the character where its sentence begins, `distance` what its place came to."""

    wish: Wish
    start: int
    distance: int


@dataclass(frozen=True)
class FilledText:
    """A text with facts between its sentences; `facts` are in the order of their wishes."""

    text: str
    tokens: int
    facts: tuple[Placed, ...]


def insert_facts(
    text: str, wishes: Sequence[Wish], tokenizer: PreTrainedTokenizerBase, *, room: int, name: str
) -> FilledText:
    """Put facts into the beginning of a text, so that both together have at most `room` tokens.

    A fact stands before the sentence that begins nearest to its distance. Without the facts, what is returned is the
    beginning of the text as it was. Raises `InputError` for a text, called `name`, too short for a distance.
    """
    sizes = [_count(tokenizer, f" {wish.fact.sentence}") for wish in wishes]
    # Where a fact stands, words may be split otherwise: a token more each.
    base = cut_text(text, tokenizer, room - sum(sizes) - len(sizes))
    tokens = _spans(tokenizer, base)
    farthest = max(wish.distance for wish in wishes)
    if len(tokens) + sum(sizes) < farthest:
        raise InputError(
            f"{name} has {len(tokens):,} tokens, too few for a fact {farthest:,} tokens before its end; take longer "
            "texts or smaller distances"
        )
    order = sorted(range(len(wishes)), key=lambda number: wishes[number].distance)
    places = _places(base, tokens, [(wishes[number], sizes[number]) for number in order], tokenizer)
    return _assemble(base, dict(zip(order, places, strict=True)), wishes, tokenizer)


def cut_text(text: str, tokenizer: PreTrainedTokenizerBase, tokens: int) -> str:
    """Return the beginning of a text, at most so many tokens; a longer text is cut behind a sentence, or a word."""
    spans = _spans(tokenizer, text)
    if len(spans) <= tokens:
        return text.rstrip()
    end = spans[max(tokens, 0)][0]
    earliest = spans[max(tokens - _NEAR, 0)][0]
    for pattern in (_SENTENCE, _WORD):
        cuts = [place for place in _boundaries(pattern, text) if earliest <= place <= end]
        if cuts:
            return text[: cuts[-1]].rstrip()
    return text[:end].rstrip()


def split_text(text: str, tokenizer: PreTrainedTokenizerBase, share: float) -> tuple[str, str]:
    """Cut a text in two behind a sentence, or a word, where so large a share of its tokens ends."""
    first = cut_text(text, tokenizer, int(share * len(_spans(tokenizer, text))))
    return first, text[len(first) :]


def _places(
    base: str, spans: Spans, wishes: Sequence[tuple[Wish, int]], tokenizer: PreTrainedTokenizerBase
) -> list[int]:
    """Return the characters before which facts are put; wishes, each with its tokens, go from the end of the text."""
    sentences, words = (_boundaries(pattern, base) for pattern in (_SENTENCE, _WORD))
    starts = [start for start, _ in spans]
    behind, latest, places = 0, len(base), []
    for wish, size in wishes:
        after = wish.distance - behind - _count(tokenizer, f" {wish.fact.answer}.")
        token = min(max(len(spans) - after, 0), len(spans))
        latest = _nearest((sentences, words), token, starts, latest)
        places.append(latest)
        behind += size
    return places


def _nearest(boundaries: Sequence[list[int]], token: int, starts: list[int], latest: int) -> int:
    """Return the character of the boundary nearest to a token, none behind `latest`: of the first kind that is near."""

    def gap(character: int) -> int:
        return abs(bisect_left(starts, character) - token)

    found = latest
    for places in boundaries:
        found = min((place for place in (*places, latest) if place <= latest), key=gap)
        if gap(found) <= _NEAR:
            break
    return found


def _boundaries(pattern: re.Pattern[str], text: str) -> list[int]:
    return [0, *(match.end() for match in pattern.finditer(text))]


def _assemble(
    base: str, places: dict[int, int], wishes: Sequence[Wish], tokenizer: PreTrainedTokenizerBase
) -> FilledText:
    """Return the text with its facts, and where each of them stands in it, measured in its own tokens."""
    # At one place the fact that is to be farther from the end comes first.
    order = sorted(places, key=lambda number: (places[number], -wishes[number].distance))
    text, begins, done = "", {}, 0
    for number in order:
        place, sentence = places[number], wishes[number].fact.sentence
        text += base[done:place] + (" " if place == len(base) else "")
        begins[number], done = len(text), place
        text += sentence + ("" if place == len(base) else " ")
    text += base[done:]
    ends = [end for _, end in _spans(tokenizer, text)]
    answers = [begins[number] + len(wish.fact.question) + 1 for number, wish in enumerate(wishes)]
    placed = [
        Placed(wish, begins[number], len(ends) - bisect_right(ends, answers[number]))
        for number, wish in enumerate(wishes)
    ]
    return FilledText(text, len(ends), tuple(placed))


def _spans(tokenizer: PreTrainedTokenizerBase, text: str) -> Spans:
    """Return where each token of a text begins and ends."""
    spans: Spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return spans


def _count(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
