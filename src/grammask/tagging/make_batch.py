"""Model inputs from tokens and their tags: lists or tensors, a batch or the rows of one text."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from transformers import BatchEncoding

from ..errors import InputError
from .align import AlignedText


def make_batch(
    encoded: BatchEncoding,
    aligned: Sequence[AlignedText],
    *,
    return_tensors: str | None,
    alone: bool = False,
    counted: bool = False,
) -> BatchEncoding:
    """Return the tokenizer's columns and those of tags; `counted` adds the coverage of each text.

    One text `alone` has no batch around it where it stays lists, as tokenizers have it.
    """
    data = {
        **encoded.data,
        "tag_ids": [text.tag_ids.tolist() for text in aligned],
        "word_ids": [text.word_ids.tolist() for text in aligned],
        "sentence_ids": [text.sentence_ids.tolist() for text in aligned],
    }
    if counted:
        data["coverage"] = [list(astuple(text.coverage)) for text in aligned]
    if return_tensors is not None and len({len(row) for row in data["tag_ids"]}) > 1:
        raise InputError("the texts differ in length, so they make no tensors without padding; give padding=True")
    if alone and return_tensors is None and "overflow_to_sample_mapping" not in data:
        data = {name: _alone(rows) for name, rows in data.items()}
    return BatchEncoding(data, encoded.encodings, tensor_type=return_tensors)


def _alone(rows: Any) -> Any:
    return rows[0] if isinstance(rows[0], list) else rows
