"""A BERT of any size that begins from nothing, for what attention learns without pretraining."""

import hashlib
from dataclasses import replace
from typing import Any

from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerBase

from ..model.load_weights import Loaded
from ..model.model_source import ModelSource
from ..model.named_models import find_model
from ..model.packaged_models import PACKAGED_MODEL
from .scratch_shape import Shape


def scratch_source(name: str) -> ModelSource:
    """Return where the tokenizer of a model from nothing is: it is that of MiniLM.

    There are no weights to hash, and its name says all of it. Raises `ModelError` where MiniLM isn't installed.
    """
    return replace(find_model(PACKAGED_MODEL), name=name, sha256=hashlib.sha256(name.encode()).hexdigest())


def make_scratch(shape: Shape, tokenizer: PreTrainedTokenizerBase, label_names: tuple[str, ...]) -> Loaded:
    """Make a BERT with a head for these classes; all of it is random, so seed first."""
    config = scratch_config(
        shape,
        tokenizer,
        id2label=dict(enumerate(label_names)),
        label2id={label: index for index, label in enumerate(label_names)},
        problem_type="single_label_classification",
    )
    model = BertForSequenceClassification(config)
    return Loaded(model, tuple(name for name, _ in model.named_parameters()), {})


def scratch_config(shape: Shape, tokenizer: PreTrainedTokenizerBase, **more: Any) -> BertConfig:
    """Return the config of a BERT of this shape.

    All that a shape doesn't say is as in BERT: 512 positions, inner layers of four times the width, dropout of 0.1.
    """
    return BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        num_hidden_layers=shape.layers,
        hidden_size=shape.width,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        **more,
    )
