"""The model of a benchmark: a pretrained encoder, with positions for as many tokens as are asked for."""

from copy import deepcopy
from functools import cached_property
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..errors import ModelError
from ..grammar.grammar import Grammar
from ..model.attach import attach
from ..model.named_models import ModelSource, find_model, load_classifier, load_tokenizer
from .settings import Guided


class Encoder:
    """A tokenizer, and a sequence classifier that is loaded when a copy of it is first asked for."""

    def __init__(self, name: str, *, longest: int, attention_dropout: float, seed: int) -> None:
        self.source: ModelSource = find_model(name)
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(self.source)
        self._longest = longest
        self._attention_dropout = attention_dropout
        self._seed = seed

    @cached_property
    def stock(self) -> PreTrainedModel:
        """The model as loaded, with longer positions and the wanted attention dropout; never changed."""
        set_seed(self._seed)
        model = load_classifier(self.source, ("0", "1")).model
        lengthen(model, self._longest)
        _set_attention_dropout(model, self._attention_dropout)
        return model

    def copy(self) -> PreTrainedModel:
        """Return a copy of the stock model."""
        return deepcopy(self.stock)

    def guided(self, grammar: Grammar, strategy: Guided) -> PreTrainedModel:
        """Return a copy of the stock model under a grammar."""
        return attach(self.copy(), grammar, strategy)

    def facts(self) -> dict[str, Any]:
        """Return what the results say about the model."""
        config = self.stock.config
        return {
            "name": self.source.name, "model_type": config.model_type, "layers": config.num_hidden_layers,
            "heads": config.num_attention_heads, "hidden_size": config.hidden_size,
            "parameters": self.stock.num_parameters(), "sha256": self.source.sha256,
            "attention": config._attn_implementation, "attention_dropout": self._attention_dropout,
        }  # fmt: skip


def lengthen(model: PreTrainedModel, length: int) -> None:
    """Give a BERT-like model positions for `length` tokens, in place, by repeating those it has.

    What it computes there means nothing, but it takes as long as a real one. Raises `ModelError` for a model whose
    positions are no such table.
    """
    if length <= model.config.max_position_embeddings:
        return
    embeddings: Any = getattr(model.base_model, "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)
    if not isinstance(table, nn.Embedding) or table.padding_idx is not None or model.config.model_type != "bert":
        raise ModelError(
            f"{model.config.model_type} reads at most {model.config.max_position_embeddings} tokens, and only BERT's "
            f"table of positions can be repeated up to {length}; use --model minilm, or shorter --lengths"
        )
    had = table.weight.detach()
    wider = nn.Embedding(length, had.shape[1])
    wider.weight = nn.Parameter(had.repeat(-(-length // len(had)), 1)[:length].clone())
    embeddings.position_embeddings = wider
    embeddings.position_ids = torch.arange(length)[None]
    embeddings.token_type_ids = torch.zeros(1, length, dtype=torch.long)
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if config is not None:
            config.max_position_embeddings = length


def _set_attention_dropout(model: PreTrainedModel, share: float) -> None:
    """Set the dropout of attention weights, which is that of modules with a query projection."""
    for module in model.modules():
        dropout = getattr(module, "dropout", None)
        if isinstance(dropout, nn.Dropout) and hasattr(module, "query"):
            dropout.p = share
    model.config.attention_probs_dropout_prob = share
