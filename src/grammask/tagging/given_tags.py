"""The tags of words that are split and tagged already, checked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ..errors import InputError
from ..grammar.tags import TAG_IDS, UPOS
from ..printing import quoted
from .split_text import SplitText
from .tagger import TaggedText
from .tagger_checks import check_tagged

_IDS: Final[dict[str, int]] = {**{tag: TAG_IDS[tag] for tag in UPOS}, "CONJ": TAG_IDS["CCONJ"]}  # of version 1 of UD


def with_tags(texts: list[SplitText], tags: Any, sentence_ids: Any) -> list[SplitText]:
    """Return texts with the tags of their words, where there are any; raises `InputError` and `TaggingError`."""
    if tags is None:
        if sentence_ids is not None:
            raise InputError("sentence_ids belong to tags: without tags the tagger says where sentences are")
        return texts
    numbers = [None] * len(texts) if sentence_ids is None else sentence_ids
    for name, given in (("tags", tags), ("sentence_ids", numbers)):
        if isinstance(given, str) or len(given) != len(texts):
            raise InputError(f"there are {len(texts)} texts, but {name} are {quoted(given)}; each text needs its own")
    return [
        replace(text, tagged=_tagged(text, of, in_sentences, f"text {number}"))
        for number, (text, of, in_sentences) in enumerate(zip(texts, tags, numbers, strict=True))
    ]


def _tagged(text: SplitText, tags: Sequence[Any], sentence_ids: Sequence[Any] | None, name: str) -> TaggedText:
    sentences = [0] * len(text.words) if sentence_ids is None else sentence_ids
    for what, given in (("tags", tags), ("sentence_ids", sentences)):
        if isinstance(given, str) or len(given) != len(text.words):
            raise InputError(f"{name} has {len(text.words)} words, but {what} {quoted(given)}; each word needs one")
    ids = [_tag_id(tag, f"{name}: word {place}") for place, tag in enumerate(tags)]
    there = np.array([place for place, word in enumerate(text.words) if word.strip()], dtype=np.int32)
    columns = (np.array(column)[there] if len(there) else there for column in (ids, sentences))
    return check_tagged(TaggedText(there, there + 1, *columns), "x" * len(text.words), origin=f"tags of {name}")


def _tag_id(tag: Any, name: str) -> int:
    if not isinstance(tag, str) or tag not in _IDS:
        raise InputError(f"{name} has the tag {quoted(tag)}, but must have a Universal POS tag: {', '.join(UPOS)}")
    return _IDS[tag]
