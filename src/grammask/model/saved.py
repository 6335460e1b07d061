"""from_pretrained: a saved model comes back with its grammar."""

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from transformers import AutoConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from ..errors import ModelError
from ..grammar_file import grammar_from_dict
from .attach import CONFIG_KEY, attach
from .guide import STRENGTHS


def from_pretrained(name_or_path: str | Path, **kwargs: Any) -> PreTrainedModel:
    """Load a model that was saved with a grammar, of the class that saved it, and attach the grammar again.

    `name_or_path` is a folder of `save_pretrained` or a Hub name; `kwargs` go to the class's own `from_pretrained`.
    Raises `ModelError` when it cannot be loaded or was saved without a grammar.
    """
    name = str(name_or_path)
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ModelError(f"no model {name!r}: {str(error).splitlines()[0]}") from error
    stored = getattr(config, CONFIG_KEY, None)
    if stored is None:
        raise ModelError(f"{name!r} was saved without a grammar; load it with transformers and call grammask.attach")
    architectures = config.architectures or ["none"]
    model_class = getattr(transformers, architectures[0], None)
    if model_class is None:
        raise ModelError(f"{name!r} was saved by {architectures[0]}, which transformers doesn't have")
    model: PreTrainedModel = model_class.from_pretrained(name, **kwargs)
    attach(
        model,
        grammar_from_dict(stored["grammar"], origin=f"{name}: config.json"),
        stored["strategy"],
        learn_strengths=stored["learn_strengths"],
    )
    if stored["learn_strengths"] is not None:
        _restore_strengths(model, name)
    return model


def _restore_strengths(model: PreTrainedModel, name: str) -> None:
    """Read the learned strengths; transformers drops them on load, since the class doesn't know them."""
    path = cached_file(name, "model.safetensors")
    with safe_open(str(path), framework="pt") as tensors:
        keys = [key for key in tensors.keys() if key.split(".")[-1] == STRENGTHS]  # noqa: SIM118 - no mapping
        if not keys:
            raise ModelError(f"{name!r} has no learned strengths in model.safetensors; was it saved in several parts?")
        with torch.no_grad():
            getattr(model.base_model, STRENGTHS).copy_(tensors.get_tensor(keys[0]))
