"""A guided model's attention for BertViz's views."""

from typing import Any

import torch
from transformers import PreTrainedModel

from ..model.attach import grammar_of
from ..tagging.annotate import Annotator
from .word_positions import read_by


def to_bertviz(model: PreTrainedModel, annotate: Annotator, text: str) -> dict[str, Any]:
    """Return what `bertviz.head_view(**...)` and `bertviz.model_view(**...)` take: attention and tokens of one text.

    `attention` holds a tensor (1, heads, length, length) for each layer, exactly what the model attends to under its
    grammar. BertViz itself isn't needed for it. Raises `ModelError` for a model without a grammar.
    """
    grammar_of(model)
    inputs = read_by(model, annotate, text).inputs
    training = model.training
    model.train(False)
    try:
        with torch.no_grad():
            attention = model(**inputs, output_attentions=True).attentions
    finally:
        model.train(training)
    return {"attention": attention, "tokens": annotate.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())}
