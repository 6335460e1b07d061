"""Cells whose gain is the attention of a model that may read everything, head by head."""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..grammar.tags import UPOS
from ..model.eval_mode import attention_weights
from .cells import FARTHEST, OFFSETS, Cells, count_cells

_TAGS: Final[int] = len(UPOS)
_INPUTS: Final[tuple[str, ...]] = ("input_ids", "attention_mask", "token_type_ids")


def attention_cells(model: PreTrainedModel, batches: Iterable[Mapping[str, Tensor]]) -> Cells:
    """Add up a model's attention from word to word: one group for every layer and head, layers outermost.

    `batches` are an Annotator's or Collator's. A word's attention to another is the mean over its own subwords of
    the sum over the other's; attention to structural tokens is left out. The model runs in evaluation mode, with its
    eager attention, and must return exact weights.
    """
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")
    gain: Tensor | None = None
    texts = []
    try:
        for batch in batches:
            inputs = {name: batch[name] for name in _INPUTS if name in batch}
            weights = attention_weights(model.base_model, inputs)
            if gain is None:
                gain = torch.zeros(
                    len(weights) * weights[0].shape[1], _TAGS * _TAGS * (OFFSETS + 1), dtype=torch.float64
                )
            first, key, cells, share = _pairs(batch["tag_ids"], batch["word_ids"])
            for layer, of_layer in enumerate(weights):
                heads = of_layer.shape[1]
                paid = of_layer.transpose(0, 1).flatten(1)[:, first * of_layer.shape[3] + key] * share
                gain[layer * heads : (layer + 1) * heads].index_add_(1, cells, paid.double())
            texts += _words(batch["tag_ids"], batch["word_ids"])
    finally:
        model.set_attn_implementation(implementation)
    assert gain is not None, "there is at least one batch"  # noqa: S101
    pairs, far_pairs = count_cells(texts)
    found = gain.numpy().reshape(-1, _TAGS, _TAGS, OFFSETS + 1)
    return Cells(pairs, far_pairs, np.ascontiguousarray(found[..., :OFFSETS]), found[..., OFFSETS].copy())


def _pairs(tag_ids: Tensor, word_ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return for all pairs of subwords: the query's row in the flattened batch, the key's column, cell, and share."""
    word = word_ids >= 0
    text, query, key = (word[:, :, None] & word[:, None, :]).nonzero(as_tuple=True)
    offset = word_ids[text, key] - word_ids[text, query]
    place = torch.where(offset.abs() <= FARTHEST, offset + FARTHEST, OFFSETS)
    cells = (tag_ids[text, query] * _TAGS + tag_ids[text, key]) * (OFFSETS + 1) + place
    same = (word_ids[:, :, None] == word_ids[:, None, :]).sum(-1)
    return text * word_ids.shape[1] + query, key, cells, 1.0 / same[text, query]


def _words(tag_ids: Tensor, word_ids: Tensor) -> list["np.typing.NDArray[np.int32]"]:
    """Return the tags of each text's words."""
    first = word_ids >= 0
    first[:, 1:] &= word_ids[:, 1:] != word_ids[:, :-1]
    return [tags[chosen].numpy().astype(np.int32) for tags, chosen in zip(tag_ids, first, strict=True)]
