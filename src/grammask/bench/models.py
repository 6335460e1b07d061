"""The model of a benchmark: pretrained or random, with positions for as many tokens as are asked for."""

from copy import deepcopy
from functools import cached_property
from typing import Any, Final

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..attention.backends import BackendName
from ..attention.position_mask import PositionMask
from ..errors import ModelError
from ..grammar.grammar import Grammar
from ..model.attach import attach
from ..model.count_positions import count_positions
from ..model.extend_positions import extend_positions
from ..model.model_files import read_config
from ..model.model_source import ModelSource
from ..model.named_models import count_key_heads, find_model, load_causal, load_classifier, load_tokenizer
from ..model.packaged_models import PACKAGED_MODEL
from .random_models import SHAPES, random_model
from .settings import Guided

_SLIDING: Final[str] = "sliding_attention"


class BenchModel:
    """A tokenizer, and a model that is made when a copy of it is first asked for.

    It is a sequence classifier, or a causal language model where the name is that of one. A random model has the
    tokenizer of the packaged one.
    """

    def __init__(self, name: str, *, longest: int, attention_dropout: float, seed: int, device: str = "cpu") -> None:
        self._name = name
        self._random = SHAPES.get(name)
        self._source: ModelSource = find_model(name if self._random is None else PACKAGED_MODEL)
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(self._source)
        self.causal = _is_causal(self._source) if self._random is None else self._random.causal
        self._longest = longest
        self._attention_dropout = attention_dropout
        self._seed = seed
        self.device = device

    @cached_property
    def stock(self) -> PreTrainedModel:
        """The model as made, with longer positions and the wanted attention dropout; never changed."""
        model = self._load() if self._random is None else self._draw()
        _set_attention_dropout(model, self._attention_dropout)
        if self.causal:
            model.config.use_cache = False  # one pass over whole texts needs none
        return model

    def _load(self) -> PreTrainedModel:
        set_seed(self._seed)
        model = load_causal(self._source) if self.causal else load_classifier(self._source, ("0", "1")).model
        lengthen(model, self._longest)
        return model

    def _draw(self) -> PreTrainedModel:
        return random_model(self._name, self.tokenizer, longest=self._longest, seed=self._seed)

    def copy(self, dtype: torch.dtype) -> PreTrainedModel:
        """Return a copy of the stock model on the device that is measured, with weights of this type."""
        copied: Any = deepcopy(self.stock)  # transformers' annotations of `to` are wrong
        model: PreTrainedModel = copied.to(self.device, dtype)
        return model

    def guided(
        self, grammar: Grammar, strategy: Guided, dtype: torch.dtype, backend: BackendName = "auto"
    ) -> PreTrainedModel:
        """Return such a copy under a grammar."""
        return attach(self.copy(dtype), grammar, strategy, backend=backend)

    @cached_property
    def positions(self) -> tuple[PositionMask, ...]:
        """What each layer's own mask says beside padding, as the model's config has it."""
        config = self.stock.config
        side = getattr(config, "sliding_window", None)
        everywhere = "full_attention" if side is None else _SLIDING
        kinds = getattr(config, "layer_types", None) or [everywhere] * config.num_hidden_layers
        # A causal window counts the query's own token.
        window = None if side is None else (side - 1, 0) if self.causal else (side, side)
        return tuple(PositionMask(self.causal, window if kind == _SLIDING else None) for kind in kinds)

    def facts(self) -> dict[str, Any]:
        """Return what the results say about the model."""
        config = self.stock.config
        return {
            "name": self._name, "weights": self._weights(), "model_type": config.model_type,
            "layers": config.num_hidden_layers, "heads": config.num_attention_heads,
            "key_heads": count_key_heads(config),
            "hidden_size": config.hidden_size, "parameters": self.stock.num_parameters(),
            "attention": config._attn_implementation, "attention_dropout": self._attention_dropout,
            "causal": self.causal, "use_cache": False,
        }  # fmt: skip

    def _weights(self) -> str:
        if self._random is None:
            return f"sha256 {self._source.sha256}"
        return f"random, of seed {self._seed}, in the shape of {self._random.like}; tokens of {PACKAGED_MODEL}"


def _is_causal(source: ModelSource) -> bool:
    architectures = read_config(source.location, **source.pinned).architectures or ()
    return any(name.endswith("ForCausalLM") for name in architectures)


def lengthen(model: PreTrainedModel, length: int) -> None:
    """Give a model positions for `length` tokens, in place, where it lacks them, by `extend_positions`.

    What it computes there means nothing, but it takes as long as a real one. Rotary positions have no end. Raises
    `ModelError` for a model whose positions are neither.
    """
    most = count_positions(model)
    if most is None or length <= most or hasattr(model.base_model, "rotary_emb"):
        return
    try:
        extend_positions(model, length)
    except ModelError as error:
        raise ModelError(f"{error}; use --model minilm, or shorter --lengths") from error


def _set_attention_dropout(model: PreTrainedModel, share: float) -> None:
    """Set the dropout of attention weights: a number of the module, or the `dropout` beside a query projection."""
    for module in model.modules():
        dropout = getattr(module, "dropout", None)
        if isinstance(dropout, nn.Dropout) and hasattr(module, "query"):
            dropout.p = share
        if isinstance(getattr(module, "attention_dropout", None), float):
            setattr(module, "attention_dropout", share)  # noqa: B010 - no tensor, as mypy takes it to be
    for name in ("attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(model.config, name):
            setattr(model.config, name, share)
