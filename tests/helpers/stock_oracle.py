"""The stock model with a grammar's mask ANDed to its own: what a guided model must equal."""

from collections.abc import Sequence
from typing import Any

import torch
from helpers.batches import Batch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv
from transformers.masking_utils import sdpa_mask

from grammask.attention.reference import reference_attention
from grammask.grammar.grammar import Grammar
from grammask.grammar.masks import allowed_pairs, merge_masks, pair_strengths
from grammask.grammar.tables import compile_layers
from grammask.grammar.tags import PAD

_NAME = "spelled out"
_masks: list[Tensor] = []  # of the layers that are still to be called


def oracle_output(
    model: PreTrainedModel, grammar: Grammar, strategy: str, batch: Batch, *, learned: Tensor | None = None,
    layers: int = 3, masks: Sequence[Tensor] | None = None, **inputs: Any,
) -> Tensor:  # fmt: skip
    """Return the first output of a model without a grammar, as if it had this one.

    Its own masks are the tensors that stock attention gets. `learned` (layers, heads or 1, tags, tags) takes the place
    of the grammar's strengths; `inputs` are the model's, None for those of the batch. `masks` are those of each layer,
    None for what the annotation says.
    """
    heads = model.config.num_attention_heads
    tag_ids = batch.annotation["tag_ids"]
    _masks.extend(masks or ())
    for layer, tables in enumerate(() if masks else compile_layers(grammar, layers=layers, heads=heads)):
        if strategy == "hard":
            mask = allowed_pairs(tables, **batch.annotation) | (tag_ids == PAD)[:, None, :, None]
        elif learned is None:
            mask = pair_strengths(tables, **batch.annotation).to(model.dtype)
        else:
            mask = learned[layer][:, tag_ids[:, :, None], tag_ids[:, None, :]].transpose(0, 1)
        _masks.append(mask)
    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    before = model.config._attn_implementation
    model.set_attn_implementation(_NAME)
    try:
        output: Tensor = model(**(inputs or batch.inputs))[0]
        assert not _masks
    finally:
        model.set_attn_implementation(before)
        _masks.clear()
    return output


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    scaling: float | None = None, is_causal: bool | None = None, **_: object,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if attention_mask is None and causal:
        attention_mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    groups = query.shape[1] // key.shape[1]
    output, weights = reference_attention(
        query, repeat_kv(key, groups), repeat_kv(value, groups), merge_masks(_masks.pop(0), attention_mask),
        scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
    )  # fmt: skip
    return output.transpose(1, 2).contiguous(), weights
