"""What a cache has read: so a conversation goes on under the tags and word numbers that it was read by.

Annotated anew with what was said since, a text has other tags here and there, and other word numbers where a tagger
splits words as generation doesn't. Keys that a GrammarCache let go of by the old ones would be missed under the new.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from transformers import Cache

from ..attention.inputs import Annotation
from ..errors import InputError
from ..grammar.caching import outside_inference_mode
from ..grammar.tags import CLS, NEW, PAD, SEP, TAG_IDS, UNK
from .kept_cache import KeptCache

_NAME: Final[str] = "_grammask_text"  # in the cache itself, so that its copies have it too
_OTHER: Final[int] = TAG_IDS["X"]


@dataclass(frozen=True, eq=False)
class CacheText:
    """The tokens of texts that a cache has read, their tags and word numbers: (batch, tokens) each."""

    input_ids: Tensor
    tag_ids: Tensor
    word_ids: Tensor

    @classmethod
    def of(cls, cache: Cache) -> "CacheText | None":
        """Return what a cache has read; None where nobody knows."""
        return vars(cache).get(_NAME)


def note_text(cache: Cache, input_ids: Any, annotation: Annotation) -> None:
    """Note that a cache reads these tokens next, under an annotation of the whole text."""
    earlier, known = cache.get_seq_length(), CacheText.of(cache)
    before = [known.input_ids[:, :earlier]] if known and earlier else []
    vars(cache).pop(_NAME, None)
    if not isinstance(input_ids, Tensor):
        return
    with outside_inference_mode():
        ids = torch.cat([*(one for one in before if len(one) == len(input_ids)), input_ids.detach()], 1)
    if ids.shape == annotation.tag_ids.shape:
        vars(cache)[_NAME] = CacheText(ids, annotation.tag_ids, annotation.word_ids)


def note_tokens(cache: Cache, input_ids: Tensor) -> None:
    """Note the tokens of the whole texts so far, whose rows may have changed places."""
    earlier, known = cache.get_seq_length(), CacheText.of(cache)
    if known is not None and input_ids.shape[1] >= earlier:
        vars(cache)[_NAME] = CacheText(input_ids[:, :earlier], known.tag_ids, known.word_ids)


def carry_on(cache: Cache, input_ids: Tensor, tag_ids: Tensor, word_ids: Tensor) -> dict[str, Tensor]:
    """Return the annotation (batch, length) of texts that go on with what a cache has read.

    What was read keeps its tags and word numbers, but words that were new get the tags that are given. What follows is
    given, too, in words that are counted on. Its special tokens are words tagged X, as those that a model writes.
    As in transformers itself, the tokens that were read stand, whatever `input_ids` says of them; a warning says so.
    Raises `InputError` where nothing follows, and for other texts, or other padding, than the cache holds.
    """
    earlier, known = cache.get_seq_length(), CacheText.of(cache)
    if known is None or not earlier or not input_ids.shape == tag_ids.shape == word_ids.shape:
        return {"tag_ids": tag_ids, "word_ids": word_ids}
    if input_ids.shape[1] <= earlier:
        raise InputError(
            f"the texts have {input_ids.shape[1]} tokens, but the cache has read {earlier}, so nothing follows; give "
            "the texts whole, with what was generated, or a new cache"
        )
    rows = _rows(known.input_ids[:, :earlier], input_ids[:, :earlier], held=_texts_in(cache))
    tags, words = known.tag_ids[rows, :earlier].to(tag_ids), known.word_ids[rows, :earlier].to(word_ids)
    _check_padding(tags == PAD, tag_ids[:, :earlier] == PAD)
    _warn_of_others(known.input_ids[rows, :earlier], input_ids[:, :earlier])
    given = tag_ids.masked_fill((tag_ids == CLS) | (tag_ids == SEP) | (tag_ids == UNK), _OTHER)
    tags = torch.where(tags == NEW, given[:, :earlier], tags)
    real = given[:, earlier:] != PAD
    begins = (word_ids[:, earlier:] != word_ids[:, earlier - 1 : -1]) | (word_ids[:, earlier:] < 0)
    counted = words.amax(1, keepdim=True) + (begins & real).cumsum(1)
    return {
        "tag_ids": torch.cat([tags, given[:, earlier:]], 1),
        "word_ids": torch.cat([words, counted.masked_fill(~real, -1)], 1),
    }


def _texts_in(cache: Cache) -> int:
    """Return how many texts a cache holds, which may be others than when it read them last."""
    first: Any = cache.layers[0]
    return cache.texts if isinstance(cache, KeptCache) else len(first.keys)


def _rows(known: Tensor, asked: Tensor, *, held: int) -> Tensor:
    """Return for each text the row that was read of it, of a cache that holds so many texts now.

    Raises `InputError` where that isn't what all its rows hold: searching beams leaves several texts for one.
    """
    same = (known[None] == asked.to(known)[:, None]).all(2)
    if bool(same.any(1).all()) and (held != len(known) or bool(same.any(0).all())):
        return same.int().argmax(1)
    if len(known) != len(asked):
        raise InputError(
            f"the cache holds {held} texts, not all of which input_ids, of {len(asked)}, goes on with, as after beams; "
            "take a new cache"
        )
    return torch.arange(len(known), device=known.device)


def _warn_of_others(known: Tensor, asked: Tensor) -> None:
    """Warn where a cache has read other tokens than are asked for."""
    if (unlike := _first_unlike(known, asked.to(known))) is not None:
        row, place = unlike
        warnings.warn(
            f"from token {place} on, text {row} of the cache has other tokens than input_ids; generation goes on from "
            "those of the cache. Where an answer was spelled anew, take a new cache to read it as it is spelled now",
            stacklevel=4,
        )


def _check_padding(known: Tensor, asked: Tensor) -> None:
    """Raise `InputError` where texts have padding in other places than a cache has read it in."""
    if (moved := _first_unlike(known, asked)) is not None:
        row, place = moved
        raise InputError(
            f"text {row} has {'padding' if asked[row, place] else 'a token'} in place {place}, where the cache has "
            "read otherwise: texts of a batch that have grown by different lengths cannot go on with one cache; take "
            "a new cache, or one for each text"
        )


def _first_unlike(known: Tensor, asked: Tensor) -> list[int] | None:
    """Return text and place of the first number that differs, None where none does."""
    unlike: list[list[int]] = (known != asked).nonzero()[:1].tolist()
    return unlike[0] if unlike else None
