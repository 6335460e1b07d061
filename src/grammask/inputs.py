"""Checks of the tensors that a caller hands over: tags, word numbers and sentence numbers.

Missing or misshapen tags must raise: attention without them would be another model than the one asked for.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .errors import InputError
from .tags import PAD, TAGS, UPOS

_HIGHEST: Final[int] = (1 << 28) - 1  # leaves room for differences of 32 bits
_HOW = "grammask.Annotator makes all of them from texts"


@dataclass(frozen=True)
class Annotation:
    """Checked integer tensors (batch, length): tags, word numbers and, where the grammar needs them, sentences."""

    tag_ids: Tensor
    word_ids: Tensor
    sentence_ids: Tensor | None


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

    Tags must be ids of `grammask.TAGS`, word and sentence numbers -1 (none) or counted from 0.
    """
    tags = _check("tag_ids", tag_ids, shape, device, lowest=0, highest=len(TAGS) - 1)
    words = _check("word_ids", word_ids, shape, device, lowest=-1, highest=_HIGHEST)
    sentences = None
    if needs_sentences:
        sentences = _check("sentence_ids", sentence_ids, shape, device, lowest=-1, highest=_HIGHEST)
    return Annotation(tags, words, sentences)


def each_its_own_word(tag_ids: Tensor) -> Tensor:
    """Return word numbers (batch, length) that make every token with a part of speech a word of its own."""
    if tag_ids.dim() != 2:
        raise InputError(f"tag_ids has shape {tuple(tag_ids.shape)}, but must be (batch, length)")
    word = tag_ids < len(UPOS)
    return (word.cumsum(1) - 1).masked_fill(~word, -1)


def check_padding(tag_ids: Tensor, attention_mask: Tensor | None) -> None:
    """Raise `InputError` unless exactly the tokens with attention_mask 0 have the tag [PAD].

    A 4-dimensional mask is the caller's own and is not compared.
    """
    padding = tag_ids == PAD
    if attention_mask is None:
        if bool(padding.any()):
            raise InputError("tag_ids holds [PAD], but there is no attention_mask: pass the one that belongs to it")
    elif attention_mask.dim() == 2 and attention_mask.shape != tag_ids.shape:
        raise InputError(f"attention_mask has shape {tuple(attention_mask.shape)}, but must be {tuple(tag_ids.shape)}")
    elif attention_mask.dim() == 2 and not torch.equal(padding, attention_mask == 0):
        row, column = (padding != (attention_mask == 0)).nonzero()[0].tolist()
        raise InputError(
            f"tag_ids and attention_mask disagree at text {row}, token {column}: the tag is "
            f"{TAGS[int(tag_ids[row, column])]}, attention_mask is {int(attention_mask[row, column])}; padding, and "
            "only padding, has the tag [PAD] and attention_mask 0"
        )


def check_vocabulary(input_ids: Tensor, vocab_size: int) -> None:
    """Raise `InputError` when a token id is beyond the model's embedding, as with another model's tokenizer."""
    highest = int(input_ids.max()) if input_ids.numel() else 0
    if highest >= vocab_size:
        raise InputError(
            f"input_ids holds {highest}, but the model knows {vocab_size} tokens: the tokenizer doesn't belong to "
            "this model; load both from the same place"
        )


def _check(
    name: str, ids: object, shape: tuple[int, int], device: torch.device, *, lowest: int, highest: int
) -> Tensor:
    if ids is None:
        raise InputError(f"{name} is missing; {_HOW}. With a Trainer set remove_unused_columns=False")
    if not isinstance(ids, Tensor):
        raise InputError(f"{name} must be an integer tensor (batch, length), but is {type(ids).__name__}; {_HOW}")
    if ids.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        raise InputError(f"{name} must hold integers, but has dtype {ids.dtype}; {_HOW}")
    if tuple(ids.shape) != shape:
        raise InputError(f"{name} has shape {tuple(ids.shape)}, but the batch has shape {shape} (batch, length)")
    if ids.device != device:
        raise InputError(f"{name} is on {ids.device}, but the model's input is on {device}; move it there")
    ids = ids.long()
    if ids.numel():
        least, most = (int(bound) for bound in ids.aminmax())
        if least < lowest or most > highest:
            wrong = least if least < lowest else most
            raise InputError(f"{name} holds {wrong}, but must hold {lowest} to {highest}")
    return ids
