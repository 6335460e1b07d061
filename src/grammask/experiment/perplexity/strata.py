"""Which stratum a predicted token is in: the part of speech of its word, and how far back the same word stood."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...attention.causal_pairs import CausalText
from ...grammar.tags import NAMES, TAGS

# How far back the same word stood before: nowhere, at most `near` words, further. The last is for no word at all.
DISTANCES: Final[tuple[str, ...]] = ("new", "within", "beyond", "no word")
# Parts of speech taken together; "others" are all that are in none of the first three.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "names": NAMES,
    "nouns": ("NOUN",),
    "verbs": ("VERB",),
    "others": tuple(tag for tag in TAGS if tag not in (*NAMES, "NOUN", "VERB")),
}
STRATA: Final[tuple[int, int]] = (len(TAGS), len(DISTANCES))


def find_distances(text: CausalText, spelled: Mapping[int, str], *, near: int) -> NDArray[np.int64]:
    """Return for each token how far back its word stood before, as an index of `DISTANCES`.

    `spelled` holds the spelling of each word by its number. Words are the same whatever their case.
    """
    codes = np.full(len(text), DISTANCES.index("no word"))
    latest: dict[str, int] = {}
    for word in np.unique(text.words[text.words >= 0]).tolist():
        spelling = spelled.get(word, "").casefold()
        before = latest.get(spelling)
        codes[text.words == word] = 0 if before is None else 1 if word - before <= near else 2
        latest[spelling] = word
    return codes


def sum_strata(
    losses: NDArray[np.float64], tags: NDArray[np.int64], distances: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sums of the losses of tokens, and how many there are, in each stratum: (tags, distances)."""
    cells = tags * len(DISTANCES) + distances
    size = len(TAGS) * len(DISTANCES)
    sums = np.bincount(cells, weights=losses, minlength=size).astype(np.float64)
    return sums.reshape(STRATA), np.bincount(cells, minlength=size).reshape(STRATA)
