"""The configs of a guided model: copies that name our attention, and hold the grammar where the model is saved.

Modules read the attention's name from their config, and models built from one config object share it: changing it in
place would guide all of them.
"""

import sys
from copy import deepcopy
from typing import Any, Final

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from ..errors import ModelError
from .interface import NAME
from .saved_grammar import CONFIG_KEY, SavedGrammar
from .wrappers import inner_model

# Saved under the public name, our attention makes a stock load of a guided model raise, not read everything.
_PUBLIC_NAME: Final[str] = "attn_implementation"

Configs = list[tuple[nn.Module, PretrainedConfig]]


def switch_configs(model: PreTrainedModel) -> Configs:
    """Give every module a copy of its config that names our attention; return the configs they had."""
    had: Configs = []
    memo: dict[int, Any] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if isinstance(config, PretrainedConfig):
            had.append((module, config))
            copied = deepcopy(config, memo)
            copied._attn_implementation = NAME
            _set(module, copied)
    return had


def mark_config(model: PreTrainedModel, saved: SavedGrammar) -> None:
    """Write the grammar into the config that is saved with the model."""
    setattr(model.config, CONFIG_KEY, saved.to_dict())
    setattr(model.config, _PUBLIC_NAME, NAME)


def restore_configs(model: PreTrainedModel, had: Configs) -> None:
    """Remove our names again. Where nothing else was changed meanwhile, the old object comes back."""
    unchanged: dict[int, bool] = {}
    for module, old in had:
        config: Any = module.config
        for name in (CONFIG_KEY, _PUBLIC_NAME):
            vars(config).pop(name, None)
        stale = old._attn_implementation == NAME  # the config of another guided model
        config._attn_implementation = model.get_correct_attn_implementation(None) if stale else old._attn_implementation
        if id(config) not in unchanged:
            unchanged[id(config)] = not stale and config.to_dict() == old.to_dict()
        if unchanged[id(config)]:
            _set(module, old)


def check_is_saved(base: nn.Module, prefix: str, keep_vars: bool) -> None:
    """Raise `ModelError` where a model is being saved whose config doesn't hold the grammar of its `base`.

    A hook of `state_dict` isn't told which model is being saved, so it is found among the callers.
    """
    frame = sys._getframe(1)
    while frame is not None:
        saved = frame.f_locals.get("self") if frame.f_code.co_name == "save_pretrained" else None
        if isinstance(saved, nn.Module) and getattr(inner_model(saved).config, CONFIG_KEY, None) is None:
            raise ModelError(
                f"{type(saved).__name__} would be saved without the grammar of its {type(base).__name__}, since its "
                "config doesn't hold it; attach the grammar to the whole model"
            )
        frame = frame.f_back  # type: ignore[assignment]


def _set(module: nn.Module, config: PretrainedConfig) -> None:
    """Set a plain attribute; `nn.Module`'s own stubs take every attribute for a tensor or a module."""
    object.__setattr__(module, "config", config)
