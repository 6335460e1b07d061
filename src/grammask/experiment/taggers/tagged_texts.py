"""Texts with the words that a tagger is to find: of a treebank, or as another tagger finds them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import conllu
import numpy as np

from ...data.treebank import read_treebank
from ...errors import InputError
from ...files.write import read_lines
from ...grammar.tags import TAG_IDS, UPOS
from ...printing import quoted
from ...tagging.tagger import TaggedText, Tagger


@dataclass(frozen=True, eq=False)
class TaggedTexts:
    """Texts and the words of each."""

    texts: Sequence[str]
    words: Sequence[TaggedText]

    def __len__(self) -> int:
        return len(self.texts)

    def split(self, every: int) -> "tuple[TaggedTexts, TaggedTexts]":
        """Return all but each so many-th text, and those; raises `InputError` where there are too few."""
        if len(self) < every:
            raise InputError(
                f"there are {len(self)} texts, but each {every}th is held out; give more, or others to measure on: "
                "--held-out"
            )
        rest = [number for number in range(len(self)) if number % every]
        return self._part(rest), self._part(range(0, len(self), every))

    def _part(self, numbers: Iterable[int]) -> "TaggedTexts":
        chosen = list(numbers)
        return TaggedTexts([self.texts[number] for number in chosen], [self.words[number] for number in chosen])


def teach_texts(path: Path, teacher: Tagger, most: int | None) -> TaggedTexts:
    """Read a text file, a text a line, and let a tagger find the words; raises `InputError` and `TaggingError`."""
    texts = read_lines(path)[:most]
    return TaggedTexts(texts, list(teacher.tag(texts)))


def treebank_texts(path: Path, most: int | None) -> TaggedTexts:
    """Read the sentences of a CoNLL-U file, each a text; raises `InputError`."""
    found = [_spelled(sentence, path) for sentence in islice(read_treebank(path), most)]
    return TaggedTexts([text for text, _ in found], [words for _, words in found])


def _spelled(sentence: conllu.TokenList, path: Path) -> tuple[str, TaggedText]:
    """Return a sentence as it was written, and its words.

    A token of several words ("don't") is these where they spell it. Else ("du", which is "de le") it is one word, with
    the tag of the first.
    """
    text, found = "", list[tuple[int, int, int]]()
    for form, words, spaced in _tokens(sentence):
        start = len(text)
        text += form
        if "".join(word["form"] for word in words) != form:
            found.append((start, len(text), _tag(words[0], sentence, path)))
            words = ()
        for word in words:
            found.append((start, start + len(word["form"]), _tag(word, sentence, path)))
            start += len(word["form"])
        text += " " * spaced
    starts, ends, tags = np.array(found, dtype=np.int32).reshape(-1, 3).T
    return text.rstrip(), TaggedText(starts, ends, tags, np.zeros_like(tags))


def _tokens(sentence: conllu.TokenList) -> Iterator[tuple[str, Sequence[Mapping[str, Any]], bool]]:
    """Yield what is written, the words in it, and whether a space follows; omitted words (3.1) are not written."""
    written = {word["id"]: word for word in sentence if isinstance(word["id"], int)}
    last = 0
    for token in sentence:
        number = token["id"]
        if isinstance(number, int) and number > last:
            yield token["form"], [token], _is_spaced(token)
        elif not isinstance(number, int) and number[1] == "-":
            last = number[2]
            inside = [written[place] for place in range(number[0], last + 1) if place in written]
            if inside:
                yield token["form"], inside, _is_spaced(token)


def _is_spaced(token: Mapping[str, Any]) -> bool:
    return (token.get("misc") or {}).get("SpaceAfter") != "No"


def _tag(word: Mapping[str, Any], sentence: conllu.TokenList, path: Path) -> int:
    if word.get("upos") not in UPOS:
        where = sentence.metadata.get("sent_id", "without sent_id")
        raise InputError(
            f"{path}, sentence {where}, word {word['id']} ({quoted(word['form'])}): UPOS is "
            f"{quoted(word.get('upos'))}, but a UPOS tag is needed"
        )
    return TAG_IDS[word["upos"]]
