"""A context read in full once, with all that a cache can be compressed by: what every layer's attention was given."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from ...errors import ModelError
from ...model.cached_call import cache_argument
from .passages import Passage


@dataclass(frozen=True, eq=False)
class Prefill:
    """A stock model's whole cache of a context, and for each layer the states (1, length, hidden) it attended from.

    `rotations` are the model's position embeddings of these states.
    """

    model: PreTrainedModel
    context: Passage
    cache: DynamicCache
    states: list[Tensor] = field(default_factory=list)
    rotations: list[Any] = field(default_factory=list)


def prefill(model: PreTrainedModel, context: Passage, *, keep_states: bool) -> Prefill:
    """Read a context; `keep_states` for caches that are compressed by them, of models of Llama's build."""
    made = Prefill(model, context, DynamicCache())
    run(made, context, keep_states=keep_states)
    return made


def run(made: Prefill, passage: Passage, *, keep_states: bool) -> None:
    """Read a passage into a cache, and keep what its layers were given."""
    first = made.cache.get_seq_length()
    modules = attention_modules(made.model) if keep_states else []
    with torch.no_grad(), _recorded(modules, made):
        made.model.base_model(
            input_ids=passage.on(made.model.device)["input_ids"],
            **{cache_argument(made.model): made.cache},
            position_ids=torch.arange(first, first + len(passage), device=made.model.device)[None],
            use_cache=True,
        )


def attention_modules(model: PreTrainedModel) -> list[nn.Module]:
    """Return the attention of each layer; raises `ModelError` for a model that is built otherwise than Llama."""
    layers = getattr(model.base_model, "layers", ())
    modules = [layer.self_attn for layer in layers if hasattr(layer, "self_attn")]
    if not modules or len(modules) != model.config.num_hidden_layers or not hasattr(model.base_model, "rotary_emb"):
        raise ModelError(
            f"{type(model).__name__} isn't built as Llama is, and kvpress compresses no other caches; leave the peers "
            "of kvpress out"
        )
    return modules


@contextmanager
def _recorded(modules: list[nn.Module], made: Prefill) -> Iterator[None]:
    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        made.states.append(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])
        made.rotations.append(kwargs["position_embeddings"])

    hooks = [module.register_forward_pre_hook(record, with_kwargs=True) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
