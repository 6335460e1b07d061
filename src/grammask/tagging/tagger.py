"""What a tagger gives for a text, and what a tagger is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .annotator_settings import OWN, TaggerSettings


@dataclass(frozen=True, eq=False)
class TaggedText:
    """The words of one text in order: int32 arrays (words,).

    `starts` and `ends` are character offsets into the text, `tag_ids` ids of `grammask.TAGS`, `sentence_ids` the
    sentence of each word counted from 0. Whitespace, and tokens that the tagger left without a tag, are no words.
    """

    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    tag_ids: NDArray[np.int32]
    sentence_ids: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts)


class Tagger(Protocol):
    """Anything that turns texts into tagged words.

    `name` and `version` together identify what it would answer: tags are cached under them.
    """

    @property
    def name(self) -> str:
        """What the tagger is called."""

    @property
    def version(self) -> str:
        """All that its answers depend on besides the text."""

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag texts lazily, in order; raises `TaggingError`."""


class TaggerWrapper:
    """A tagger around another one, which answers under its name and version."""

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger

    @property
    def name(self) -> str:
        """The name of the tagger that answers."""
        return self._tagger.name

    @property
    def version(self) -> str:
        """The version of the tagger that answers."""
        return self._tagger.version

    @property
    def settings(self) -> TaggerSettings:
        """What identifies the tagger that answers; of a user's own, its name and version."""
        found = getattr(self._tagger, "settings", None)
        if isinstance(found, TaggerSettings):
            return found
        return TaggerSettings(kind=OWN, name=str(self.name), version=str(self.version))

    def save_beside(self, folder: Path) -> None:
        """Write the files of the tagger that answers into an annotator's folder, where it has any."""
        save: Any = getattr(self._tagger, "save_beside", None)
        if save is not None:
            save(folder)
