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
from .texts import as_list

_IDS: Final[dict[str, int]] = {**{tag: TAG_IDS[tag] for tag in UPOS}, "CONJ": TAG_IDS["CCONJ"]}  # of version 1 of UD


def with_tags(texts: list[SplitText], tags: Any, sentence_ids: Any) -> list[SplitText]:
    """Return texts with the tags of their words, where there are any; raises `InputError` and `TaggingError`."""
    if tags is None:
        if sentence_ids is not None:
            raise InputError("sentence_ids belong to tags: without tags the tagger says where sentences are")
        return texts
    names = _of_texts(tags, len(texts), "tags")
    numbers = [None] * len(texts) if sentence_ids is None else _of_texts(sentence_ids, len(texts), "sentence_ids")
    return [
        replace(text, tagged=_tagged(text, of, in_sentences, f"text {number}"))
        for number, (text, of, in_sentences) in enumerate(zip(texts, names, numbers, strict=True))
    ]


def _of_texts(given: Any, texts: int, name: str) -> list[Any]:
    listed = as_list(given, name, "lists, one for each text")
    if len(listed) != texts:
        raise InputError(f"there are {texts} texts, but {name} are {quoted(given)}; each text needs its own")
    return listed


def _tagged(text: SplitText, tags: Sequence[Any], sentence_ids: Sequence[Any] | None, name: str) -> TaggedText:
    names = _of_words(tags, text, "tags", name)
    sentences = [0] * len(names) if sentence_ids is None else _of_words(sentence_ids, text, "sentence_ids", name)
    ids = [_tag_id(tag, f"{name}: word {place}") for place, tag in enumerate(names)]
    there = np.array([place for place, word in enumerate(text.words) if word.strip()], dtype=np.int32)
    columns = (np.array(column)[there] if len(there) else there for column in (ids, sentences))
    return check_tagged(TaggedText(there, there + 1, *columns), "x" * len(text.words), origin=f"tags of {name}")


def _of_words(given: Any, text: SplitText, what: str, name: str) -> list[Any]:
    listed = as_list(given, f"{name}: {what}", "values, one for each word")
    if len(listed) != len(text.words):
        raise InputError(f"{name} has {len(text.words)} words, but {what} {quoted(given)}; each word needs one")
    return listed


def _tag_id(tag: Any, name: str) -> int:
    if not isinstance(tag, str) or tag not in _IDS:
        raise InputError(f"{name} has the tag {quoted(tag)}, but must have a Universal POS tag: {', '.join(UPOS)}")
    return _IDS[tag]
