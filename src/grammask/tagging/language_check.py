"""Whether a tagger knows the language of its texts: one that doesn't calls most words names, or nothing at all."""

import logging
from collections.abc import Iterable
from typing import Final

import numpy as np

from ..errors import TaggingError
from ..grammar.tags import TAG_IDS, UPOS
from ..printing import quoted
from .align import AlignedText

_LOG = logging.getLogger(__name__)
# An English pipeline calls more of Czech, Finnish and German names, and less of English but in lists of names: measured
# in docs/languages.md.
_WORDS: Final[int] = 200
_SHARE: Final[float] = 0.48
_UNKNOWN: Final[tuple[int, ...]] = (TAG_IDS["PROPN"], TAG_IDS["X"])
_UNCOUNTED: Final[tuple[int, ...]] = (TAG_IDS["PUNCT"], TAG_IDS["SYM"], TAG_IDS["NUM"])  # alike in all languages


class LanguageCheck:
    """Counts words over calls, and judges them as soon as there are enough; a short text alone never is."""

    def __init__(self) -> None:
        self._words = self._unknown = 0
        self._warned = False

    def add(self, texts: Iterable[AlignedText], tagger: str, *, strict: bool) -> None:
        """Count the words of texts; warn once, or under `strict` raise `TaggingError`, where too many are unknown."""
        for text in texts:
            tags = text.tag_ids[np.diff(text.word_ids, prepend=-1) > 0]
            self._words += int(((tags < len(UPOS)) & ~np.isin(tags, _UNCOUNTED)).sum())
            self._unknown += int(np.isin(tags, _UNKNOWN).sum())
        if self._words < _WORDS:
            return
        words, unknown = self._words, self._unknown
        self._words = self._unknown = 0
        if unknown < _SHARE * words or (self._warned and not strict):
            return
        said = (
            f"tagger {quoted(tagger)} tagged {unknown} of {words} words ({unknown / words:.0%}) PROPN or X, as it does "
            "where it doesn't know the language; take one of that language: Annotator(..., tagger=...)"
        )
        if strict:
            raise TaggingError(f"{said}, or leave strict out for lists of names")
        self._warned = True
        _LOG.warning("%s", said)
