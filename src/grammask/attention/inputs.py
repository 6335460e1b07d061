"""Checks of what a caller hands over: tags, word numbers, sentence numbers, masks, whole numbers.

Missing or misshapen tags must raise: attention without them would be another model than the one asked for.
"""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Final

import torch
from torch import Tensor

from ..errors import InputError
from ..grammar.caching import outside_inference_mode
from ..grammar.tags import NEW, PAD, TAGS, UPOS
from ..printing import quoted
from .tracing import assert_all, is_read_later

_HIGHEST: Final[int] = (1 << 28) - 1  # leaves room for differences of 32 bits
_INTEGERS: Final = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_HOW = "grammask.Annotator makes all of them from texts"
_NO_MASK = "tag_ids holds [PAD], but there is no attention_mask: pass the one that belongs to it"
_PADDING = "padding, and only padding, has the tag [PAD] and attention_mask 0"


@dataclass(frozen=True)
class Annotation:
    """Checked integer tensors (batch, length): tags, word numbers and, where the grammar needs them, sentences.

    Nobody writes to them, so what follows from them is worked out once.
    """

    tag_ids: Tensor
    word_ids: Tensor
    sentence_ids: Tensor | None

    @cached_property
    def readable(self) -> Tensor:
        """The mask of padding alone: bool (batch, 1, 1, length)."""
        with outside_inference_mode():
            return (self.tag_ids != PAD)[:, None, None, :]

    @cached_property
    def is_padded(self) -> bool:
        """Whether any token is padding; on a GPU, which is not waited for, whether any may be."""
        return self.readable.is_cuda or not bool(self.readable.all())

    @cached_property
    def own_words(self) -> Tensor | None:
        """What `each_its_own_word` makes of the tags."""
        return each_its_own_word(self.tag_ids)


def check_annotation(
    tag_ids: object,
    word_ids: object,
    sentence_ids: object,
    *,
    shape: tuple[int, int],
    device: torch.device,
    needs_sentences: bool,
) -> Annotation:
    """Check the annotation of a batch of this `shape` (batch, length); raise `InputError` on what is wrong.

    Tags must be ids of `grammask.TAGS`, word and sentence numbers -1 (none) or counted from 0. What is returned are
    copies: what the caller writes into its own tensors later changes nothing.
    """
    given = {
        "tag_ids": (check_ids("tag_ids", tag_ids, shape, device), 0, len(TAGS) - 1),
        "word_ids": (check_ids("word_ids", word_ids, shape, device), -1, _HIGHEST),
    }
    if needs_sentences:
        given["sentence_ids"] = (check_ids("sentence_ids", sentence_ids, shape, device), -1, _HIGHEST)
    with outside_inference_mode():
        # One copy and one pass for all: on short texts, starting an operation costs more than what it does.
        own = torch.stack([ids.to(torch.int64) for ids, _, _ in given.values()])
    _check_ranges(own, {name: (lowest, highest) for name, (_, lowest, highest) in given.items()})
    tags, words, *sentences = own.unbind()
    return Annotation(tags, words, sentences[0] if sentences else None)


def check_ids(name: str, ids: object, shape: tuple[int, int], device: torch.device) -> Tensor:
    """Return `ids`; raise `InputError` unless it is an integer tensor of this `shape` (batch, length) and device."""
    if ids is None:
        raise InputError(f"{name} is missing; {_HOW}")
    if not isinstance(ids, Tensor):
        raise InputError(f"{name} must be an integer tensor (batch, length), but is {type(ids).__name__}; {_HOW}")
    _check_plain(name, ids)
    if ids.dtype not in _INTEGERS:
        raise InputError(f"{name} must hold integers, but has dtype {ids.dtype}; {_HOW}")
    if tuple(ids.shape) != shape:
        raise InputError(f"{name} has shape {tuple(ids.shape)}, but the batch has shape {shape} (batch, length)")
    if ids.device != device:
        raise InputError(f"{name} is on {ids.device}, but the model's input is on {device}; move it there")
    return ids


def each_its_own_word(tag_ids: object) -> Tensor | None:
    """Return word numbers (batch, length) that make every token with a part of speech, or `[NEW]`, a word of its own.

    None where `tag_ids` is no integer tensor (batch, length), which `check_annotation` will say.
    """
    if not isinstance(tag_ids, Tensor) or not _is_plain(tag_ids) or tag_ids.dtype not in _INTEGERS:
        return None
    if tag_ids.dim() != 2:
        return None
    word = (tag_ids < len(UPOS)) | (tag_ids == NEW)
    return (word.cumsum(1) - 1).masked_fill(~word, -1)


def check_padding(annotation: Annotation, attention_mask: object, *, own_masks: bool = True) -> None:
    """Raise `InputError` unless exactly the tokens with attention_mask 0 have the tag [PAD].

    With `own_masks`, as for a model, a 4-dimensional mask is the caller's own and is not compared.
    """
    if attention_mask is None:
        if is_read_later(annotation.tag_ids):
            assert_all(annotation.tag_ids != PAD, _NO_MASK)
        elif annotation.is_padded:
            raise InputError(_NO_MASK)
        return
    if not isinstance(attention_mask, Tensor):
        raise InputError(f"attention_mask must be a tensor, but is {type(attention_mask).__name__}")
    _check_plain("attention_mask", attention_mask)
    if attention_mask.device != annotation.tag_ids.device:
        raise InputError(f"attention_mask is on {attention_mask.device}, but tag_ids is on {annotation.tag_ids.device}")
    if attention_mask.dim() != 4 or not own_masks:
        _check_readable(attention_mask, annotation)


def _check_readable(mask: Tensor, annotation: Annotation) -> None:
    tag_ids = annotation.tag_ids
    if mask.shape != tag_ids.shape:
        raise InputError(f"attention_mask has shape {tuple(mask.shape)}, but must be {tuple(tag_ids.shape)}")
    if not is_read_later(tag_ids) and torch.equal(mask, annotation.readable[:, 0, 0].to(mask.dtype)):
        return  # one comparison; what is wrong is found out below
    padding, unread = tag_ids == PAD, mask == 0
    if is_read_later(tag_ids):
        assert_all((unread | (mask == 1)) & (padding == unread), f"tag_ids and attention_mask disagree: {_PADDING}")
        return
    if not bool((unread | (mask == 1)).all()):
        wrong = mask[~unread & (mask != 1)][0].item()
        raise InputError(f"attention_mask holds {wrong}, but must hold 1 at tokens and 0 at padding")
    if not torch.equal(padding, unread):
        row, column = (padding != unread).nonzero()[0].tolist()
        raise InputError(
            f"tag_ids and attention_mask disagree at text {row}, token {column}: the tag is "
            f"{TAGS[int(tag_ids[row, column])]}, attention_mask is {int(mask[row, column])}; {_PADDING}"
        )


def check_vocabulary(input_ids: Tensor, vocab_size: int) -> None:
    """Raise `InputError` when a token id is beyond the model's embedding, as with another model's tokenizer."""
    if is_read_later(input_ids):
        return  # the embedding raises by itself
    highest = int(input_ids.max()) if input_ids.numel() else 0
    if highest >= vocab_size:
        raise InputError(
            f"input_ids holds {highest}, but the model knows {vocab_size} tokens: the tokenizer doesn't belong to "
            "this model; load both from the same place"
        )


def check_whole(name: str, value: object, *, lowest: int, highest: int) -> int:
    """Return `value`; raise `InputError` unless it is a whole number from `lowest` to `highest`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} must be a whole number, but is {quoted(value)}")
    if not lowest <= value <= highest:  # type: ignore[operator]
        raise InputError(f"{name} is {quoted(value)}, but must be {lowest} to {highest}")
    return int(value)


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_nested


def _check_plain(name: str, tensor: Tensor) -> None:
    if not _is_plain(tensor):
        raise InputError(f"{name} must be a dense tensor, but is sparse or nested")
    if tensor.is_meta:
        raise InputError(f"{name} is on the device meta and holds no values")


def _check_ranges(own: Tensor, ranges: dict[str, tuple[int, int]]) -> None:
    if is_read_later(own):
        for ids, (name, (lowest, highest)) in zip(own, ranges.items(), strict=True):
            assert_all((ids >= lowest) & (ids <= highest), f"{name} must hold {lowest} to {highest}")
        return
    if not own.numel():
        return
    bounds = (bound.tolist() for bound in own.flatten(1).aminmax(dim=1))
    for (name, (lowest, highest)), least, most in zip(ranges.items(), *bounds, strict=True):
        if least < lowest or most > highest:
            wrong = least if least < lowest else most
            raise InputError(f"{name} holds {wrong}, but must hold {lowest} to {highest}")
