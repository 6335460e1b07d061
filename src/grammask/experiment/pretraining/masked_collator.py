"""Batches of which some tokens are masked, to be predicted."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerBase

from ...tagging.collate import Collator
from ...tagging.padding import pads_right


class MaskedCollator:
    """Pads annotated texts, and masks a share of their words' tokens as BERT does.

    Of those that are drawn, 80 % become the mask token, 10 % another token, and 10 % stay. Tags stay those of the text:
    a grammar reads a masked word by its tag. At least one token of a batch is drawn, or it would have no loss. The draw
    depends on the seed and the batch alone, so that a training which goes on draws what it would have drawn.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, share: float, seed: int) -> None:
        self._collate = Collator(pads_right(tokenizer))
        self._mask = DataCollatorForLanguageModeling(tokenizer, mlm_probability=share)
        self._seed = seed

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Return a batch with `labels` (batch, length): the token where one was drawn, else -100."""
        batch = self._collate(features)
        structural = batch["word_ids"] < 0
        self._mask.generator = torch.Generator().manual_seed(
            zlib.crc32(batch["input_ids"].numpy().tobytes(), self._seed)
        )
        while True:
            masked, labels = self._mask.torch_mask_tokens(batch["input_ids"].clone(), special_tokens_mask=structural)
            if bool((labels != -100).any()):
                return {**batch, "input_ids": masked, "labels": labels}
