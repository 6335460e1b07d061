"""The Collator: pads annotated texts of different lengths into one batch, for a Trainer or a DataLoader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from .align import NO_WORD
from .errors import InputError
from .tags import PAD

_PADDING: Final[dict[str, int]] = {"tag_ids": PAD, "word_ids": NO_WORD, "sentence_ids": NO_WORD}


@dataclass(frozen=True)
class Collator:
    """Pads the features of `Annotator` to the longest text: tensors (batch, length), and `labels` (batch,).

    Raises `InputError` when a text has no tags, as happens under a Trainer without `remove_unused_columns=False`.
    """

    tokenizer: PreTrainedTokenizerBase

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collate one batch."""
        for name in _PADDING:
            if any(name not in feature for feature in features):
                raise InputError(
                    f"a text comes without {name}; annotate it with grammask.Annotator, and give a Trainer "
                    "remove_unused_columns=False"
                )
        plain = [{key: value for key, value in feature.items() if key not in _PADDING} for feature in features]
        batch: dict[str, Tensor] = dict(DataCollatorWithPadding(self.tokenizer)(plain))
        for name, padding in _PADDING.items():
            rows = [torch.as_tensor(feature[name], dtype=torch.long) for feature in features]
            side = self.tokenizer.padding_side
            batch[name] = pad_sequence(rows, batch_first=True, padding_value=padding, padding_side=side)
        return batch
