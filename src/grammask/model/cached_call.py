"""The key-value cache of a call: which caches a guided model reads, and how they lie to the text they stand for."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, Final

from torch import Tensor
from torch.nn import functional as F
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from ..errors import InputError, ModelError
from .kept_cache import KeptCache

# What transformers calls it, by version.
_NAMES: Final[tuple[str, ...]] = ("cache", "past_key_values")
# Layers that hand out all keys of the text, or the last of them.
_LAYERS: Final[tuple[type, ...]] = (DynamicLayer, DynamicSlidingWindowLayer)
_REMEDY: Final[str] = "give past_key_values=DynamicCache(config=model.config), or a grammask.GrammarCache(model)"


def cache_of(arguments: Mapping[str, Any]) -> Cache | None:
    """Return the cache among the arguments of a base model's forward."""
    given = [arguments[name] for name in _NAMES if arguments.get(name) is not None]
    if given and not isinstance(given[0], Cache):
        raise ModelError(f"a cache of type {type(given[0]).__name__} cannot be guided; {_REMEDY}")
    if len(given) > 1 and given[1] is not given[0]:
        raise ModelError(f"two caches were given, as {_NAMES[0]}= and as {_NAMES[1]}=, its older name; give one")
    return given[0] if given else None


def cache_argument(model: PreTrainedModel) -> str:
    """Return what a model's forward calls its cache: that depends on the version of transformers."""
    return next(name for name in _NAMES if name in signature(type(model).forward).parameters)


def check_cache(cache: Cache) -> None:
    """Raise `ModelError` for a cache that a guided model cannot read."""
    if isinstance(cache, KeptCache):
        cache.check()
        return
    name, layers = type(cache).__name__, getattr(cache, "layers", None)
    if layers is None:
        raise ModelError(f"{name} cannot be guided: it holds two caches, of an encoder and a decoder; {_REMEDY}")
    if cache.offloading:
        raise ModelError(f"{name} with offloading=True cannot be guided: it moves its keys about; {_REMEDY}")
    kinds = {type(layer) for layer in layers} | {cache.layer_class_to_replicate or DynamicLayer}
    if foreign := sorted(kind.__name__ for kind in kinds.difference(_LAYERS)):
        raise ModelError(f"{name} cannot be guided: its layers are of the type {foreign[0]}; {_REMEDY}")
    if cache.get_query_offset() != cache.get_seq_length():
        raise ModelError(f"{name} cannot be guided: its queries don't stand after its keys; {_REMEDY}")


def check_whole_text(tag_ids: object, *, shape: tuple[int, int], earlier: int) -> None:
    """Raise `InputError` for tags of the new tokens alone, of this `shape`, where a cache holds `earlier` ones."""
    if earlier and isinstance(tag_ids, Tensor) and tuple(tag_ids.shape) == shape:
        raise InputError(
            f"tag_ids has shape {shape}, as the new tokens have, but the cache holds {earlier} earlier ones: give "
            f"tag_ids, word_ids and sentence_ids of the whole text, {(shape[0], shape[1] + earlier)}, like "
            "attention_mask"
        )


def whole_keys(key: Tensor, gone: int) -> Tensor:
    """Put zeros in place of the keys or values (batch, heads, keys, head_dim) that a sliding cache let go."""
    return F.pad(key, (0, 0, gone, 0)) if gone else key
