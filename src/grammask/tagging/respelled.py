"""Words of a text that its tagger spells in its own way, at their places in the text as it was given.

Wrappers of UDPipe and Stanza make documents of their own words: spaces are other ones, and a token of several words
("du", which is "de le") is there as these. As in treebanks, words that nobody wrote are one, with the tag of the first.
"""

import math
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import TaggingError
from ..printing import quoted
from .overlap import Integers
from .tagger import TaggedText

_RUN: Final = re.compile(r"\S+")
_MOST_WORDS: Final[int] = 12  # of a run of characters without a space that isn't spelled as it was written
_LEEWAY: Final[float] = 8.0  # tried first: almost always enough, and fast
_Places = list[tuple[int, int, int]]  # start, end, and the word whose tag it is


def place_words(tagged: TaggedText, spelled: str, text: str, name: str) -> TaggedText:
    """Return the words of `text`, which the tagger of this name spelled otherwise.

    Raises `TaggingError` where they cannot be found in it.
    """
    if spelled == text:
        return tagged
    there, here = _shown(spelled), _shown(text)
    if [spelled[place] for place in there] == [text[place] for place in here]:
        starts = here[np.searchsorted(there, tagged.starts)]
        ends = here[np.searchsorted(there, tagged.ends) - 1] + 1
        return TaggedText(_int32(starts), _int32(ends), tagged.tag_ids, tagged.sentence_ids)
    words = ["".join(spelled[start:end].split()) for start, end in zip(tagged.starts, tagged.ends, strict=True)]
    runs = [(found.start(), found[0]) for found in _RUN.finditer(text)]
    spellings = [run for _, run in runs]
    bounds = _share(words, spellings, _LEEWAY) or _share(words, spellings, math.inf)
    if bounds is None:
        raise TaggingError(f"tagger {name} spells a text so that its words cannot be found in it: {quoted(text)}")
    places = [
        place
        for (start, run), first, last in zip(runs, bounds, bounds[1:], strict=False)
        for place in _place(start, run, words, first, last)
    ]
    starts, ends, chosen = np.array(places, dtype=np.int64).reshape(-1, 3).T
    return TaggedText(_int32(starts), _int32(ends), tagged.tag_ids[chosen], tagged.sentence_ids[chosen])


def _int32(numbers: Integers) -> NDArray[np.int32]:
    return numbers.astype(np.int32)


def _shown(text: str) -> Integers:
    return np.array([place for place, character in enumerate(text) if not character.isspace()], dtype=np.int64)


def _share(words: Sequence[str], runs: Sequence[str], leeway: float) -> list[int] | None:
    """Return where the words of each run begin, and how many there are; None where no way leads to the last.

    A way that looks worse than another by more than `leeway` is given up.
    """
    costs, steps = {0: 0.0}, list[dict[int, int]]()
    for run in runs:
        found, came = dict[int, float](), dict[int, int]()
        for first, cost in costs.items():
            for last, more in _ends(words, first, run):
                if last not in found or cost + more < found[last]:
                    found[last], came[last] = cost + more, first
        most = min(found.values()) + leeway
        costs = {last: cost for last, cost in found.items() if cost <= most}
        steps.append(came)
    if len(words) not in costs:
        return None
    bounds = [len(words)]
    for came in reversed(steps):
        bounds.append(came[bounds[-1]])
    return bounds[::-1]


def _ends(words: Sequence[str], first: int, run: str) -> Iterator[tuple[int, float]]:
    """Yield up to which word a run may go, and what speaks against it: nothing where these words spell it."""
    said, ways = "", [(first, 1.0 + len(run))]
    for last in range(first, min(first + _MOST_WORDS, len(words))):
        said += words[last]
        if said == run:
            yield last + 1, 0.0
            return
        unlike = 1.0 - SequenceMatcher(None, said, run, autojunk=False).ratio()
        ways.append((last + 1, 1.0 + 2.0 * (last == first) + unlike * (len(said) + len(run))))
    yield from ways


def _place(start: int, run: str, words: Sequence[str], first: int, last: int) -> _Places:
    """Return the places of the words of a run: those that are spelled at its ends, and one for what lies between.

    A word of letters next to that is part of it.
    """
    end, left, right = start + len(run), _Places(), _Places()
    text = run
    while first < last and text.startswith(words[first]):
        left.append((end - len(text), end - len(text) + len(words[first]), first))
        text, first = text[len(words[first]) :], first + 1
    stop = end
    while first < last and text.endswith(words[last - 1]):
        right.insert(0, (stop - len(words[last - 1]), stop, last - 1))
        text, stop, last = text[: len(text) - len(words[last - 1])], stop - len(words[last - 1]), last - 1
    if text and first < last:
        begin, _, whose = left.pop() if left and words[left[-1][2]].isalnum() else (stop - len(text), 0, first)
        stop = right.pop(0)[1] if right and words[right[0][2]].isalnum() else stop
        left.append((begin, stop, whose))
    return [*left, *right]
