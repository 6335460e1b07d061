"""Which keys of a text some later token may still read, in each layer: what a cache has to keep."""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from ..attention.inputs import Annotation
from ..attention.later_keys import later_keys
from ..attention.position_mask import PositionMask
from ..grammar.grammar import Grammar
from ..grammar.tables import compile_layers
from ..model.named_models import count_key_heads


@dataclass(frozen=True)
class ModelHeads:
    """How many layers, heads and key-value heads a causal model has, and the mask of each layer's own."""

    layers: int
    heads: int
    key_heads: int
    positions: tuple[PositionMask, ...]


def heads_of(model: PreTrainedModel) -> ModelHeads:
    """Return the heads that a model's config names, and its layers' sliding windows."""
    config: Any = model.config
    layers = config.num_hidden_layers
    positions = tuple(_position(config, layer) for layer in range(layers))
    return ModelHeads(layers, config.num_attention_heads, count_key_heads(config), positions)


def _position(config: Any, layer: int) -> PositionMask:
    """Return the mask of a layer: causal, and within its sliding window where it has one."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if window is None or (kinds is not None and kinds[layer] != "sliding_attention"):
        return PositionMask(causal=True)
    return PositionMask(causal=True, window=(window - 1, 0))


def keys_kept(grammar: Grammar | None, annotation: Annotation, heads: ModelHeads) -> list[int]:
    """Return how many keys of one text each layer keeps, in all key-value heads; None: under full attention."""
    length = annotation.tag_ids.shape[1]
    if grammar is None:
        return [min(length, length if own.left is None else own.left) * heads.key_heads for own in heads.positions]
    found: dict[tuple[int, PositionMask], int] = {}  # layers with the same rules share one object
    layers = compile_layers(grammar, layers=heads.layers, heads=heads.heads)
    own = [(id(tables), position) for tables, position in zip(layers, heads.positions, strict=True)]
    for key, tables in zip(own, layers, strict=True):
        if key not in found:
            found[key] = int(later_keys(tables, annotation, key_heads=heads.key_heads, position=key[1]).sum())
    return [found[key] for key in own]
