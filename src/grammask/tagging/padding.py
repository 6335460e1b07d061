"""Padding of annotated texts: the tokenizer pads its own columns, and the columns of tags follow."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase
from transformers.utils import generic

from ..errors import InputError
from ..grammar.tags import PAD
from ..printing import quoted, reason
from .overlap import NO_WORD

TAG_PADDING: Final[dict[str, int]] = {"tag_ids": PAD, "word_ids": NO_WORD, "sentence_ids": NO_WORD}


def pad_features(
    tokenizer: PreTrainedTokenizerBase,
    features: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
) -> BatchEncoding:
    """Return annotated texts padded; `options` are those of the tokenizer's `pad`. Raises `InputError`."""
    columns = _columns(features)
    for name in ("input_ids", *TAG_PADDING):
        if name not in columns:
            raise InputError(f"a text comes without {name}; annotate it with grammask.Annotator")
    tags: dict[str, Any] = _lists({name: columns.pop(name) for name in TAG_PADDING})
    for name, column in tags.items():
        _check_sizes(column, _lists(columns["input_ids"]), name)
    try:
        padded = tokenizer.pad(columns, **options)
    except (ValueError, TypeError, AssertionError, ArithmeticError, RuntimeError) as error:
        raise InputError(f"the texts make no batch: {reason(error)}") from error
    ids, left = padded["input_ids"], (options["padding_side"] or tokenizer.padding_side) == "left"
    rows = {name: _padded(tags[name], ids, name, left) for name in TAG_PADDING}
    kind = "pt" if isinstance(ids, Tensor) else "np" if isinstance(ids, np.ndarray) else None
    return BatchEncoding({**padded, **rows}, tensor_type=kind)


def pad_annotation(inputs: Any) -> None:
    """Put the padding of tags into a batch that was padded with zeros, as others pad what they don't know."""
    padding = inputs["attention_mask"] == 0
    for name, value in TAG_PADDING.items():
        if name in inputs:
            inputs[name] = torch.where(padding, value, inputs[name])


def pads_right(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return a tokenizer that pads behind the texts, a copy where it is not so already; see `padded_right`."""
    if tokenizer.padding_side == "right":
        return tokenizer
    made = copy.copy(tokenizer)
    made.padding_side = "right"
    return made


def padded_right(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch with its padding behind the texts, so that each token has the position that it has alone.

    Models count positions from the first column of a batch, also where that is padding.
    """
    mask = inputs["attention_mask"]
    columns = (torch.arange(mask.shape[1], device=mask.device) + mask.argmax(dim=1, keepdim=True)) % mask.shape[1]
    rows = torch.arange(len(mask), device=mask.device)[:, None]
    return {name: value[rows, columns] if isinstance(value, Tensor) else value for name, value in inputs.items()}


def _lists(values: Any) -> Any:
    return generic.to_py_obj(values)  # type: ignore[no-untyped-call]


def _columns(features: Any) -> dict[str, Any]:
    if isinstance(features, Mapping):
        return dict(features)
    if not isinstance(features, list | tuple) or not all(isinstance(feature, Mapping) for feature in features):
        raise InputError(f"what is padded must be annotated texts, but is {quoted(features)}")
    if not features:
        raise InputError("there is no text to pad: the list is empty")
    rows = [_row(feature) for feature in features]
    for number, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            differing = sorted(map(str, row.keys() ^ rows[0].keys()))
            raise InputError(f"text {number} and text 0 don't have the same columns: {', '.join(differing)}")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _row(feature: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one text's columns, also where it comes as a batch of one, as annotating one text gives it."""
    ids = feature.get("input_ids")
    if not isinstance(ids, list) or len(ids) != 1 or not isinstance(ids[0], list):
        return feature
    return {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in feature.items()}


def _check_sizes(column: Any, ids: Any, name: str) -> None:
    """Check that there is a number for each token, of one text or of several."""
    try:
        one = len(ids) and not isinstance(ids[0], list) and not isinstance(column[0], list)
        sizes, tokens = ([len(column)], [len(ids)]) if one else ([*map(len, column)], [*map(len, ids)])
    except (TypeError, IndexError) as error:  # a number, or nothing, in the place of numbers
        raise InputError(
            f"{name} and input_ids must be lists of whole numbers, but are {quoted(column)} and {quoted(ids)}"
        ) from error
    if sizes != tokens:
        raise InputError(f"{name} has {quoted(sizes)} numbers, but the texts have {quoted(tokens)} tokens (input_ids)")


def _padded(column: list[Any], ids: Any, name: str, left: bool) -> list[Any]:
    if len(column) and isinstance(column[0], list):
        return [_padded(row, tokens, name, left) for row, tokens in zip(column, ids, strict=True)]
    padding = [TAG_PADDING[name]] * (len(ids) - len(column))
    return [*padding, *column] if left else [*column, *padding]
