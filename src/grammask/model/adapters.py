"""peft on guided models: an adapter keeps its grammar beside it; learned strengths are trained and saved, or refused.

peft knows nothing of a grammar. So where it is loaded, its `PeftModel.save_pretrained` is made to write the guided
model's config.json beside each adapter, which is where `from_pretrained` looks for the grammar.
"""

import sys
from collections.abc import Iterable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from transformers import PreTrainedModel

from ..errors import ModelError
from .loading import Loaded
from .model_files import first_line
from .stored import CONFIG_KEY
from .strengths import STRENGTHS

_REMEDY: Final[str] = (
    f'name them when the adapter is made, after grammask.attach: LoraConfig(..., modules_to_save=["{STRENGTHS}"])'
)


def keep_grammar_with_adapters() -> None:
    """Let peft, where it is loaded, save grammars with adapters; doing it again changes nothing."""
    peft = sys.modules.get("peft")
    if peft is None or hasattr(peft.PeftModel.save_pretrained, "__wrapped__"):
        return
    stock = peft.PeftModel.save_pretrained

    @wraps(stock)
    def save_pretrained(self: Any, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        model = self.get_base_model()
        guided = getattr(getattr(model, "config", None), CONFIG_KEY, None) is not None
        if guided:
            _check_saves_strengths(model)
        stock(self, save_directory, *args, **kwargs)
        if guided and kwargs.get("is_main_process", True):
            _save_configs(model, Path(save_directory), kwargs.get("selected_adapters") or self.peft_config)

    peft.PeftModel.save_pretrained = save_pretrained


def check_adapters(model: PreTrainedModel, base: nn.Module) -> None:
    """Raise `ModelError` for adapters that would lose the grammar, or freeze its strengths."""
    keep_grammar_with_adapters()
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ModelError(
            "adapters of transformers' own add_adapter are saved without the grammar; use peft.get_peft_model(model, "
            "...) on the guided model"
        )
    strengths = getattr(base, STRENGTHS, None)
    if strengths is None or strengths.table.requires_grad or not hasattr(model, "peft_config"):
        return
    if base.training and torch.is_grad_enabled():
        raise ModelError(f"the adapter froze the learned strengths, so they would not be trained; {_REMEDY}")


def put_adapter(loaded: Loaded, name: str, *, trainable: bool, **hub: Any) -> Any:
    """Put a saved adapter on the model that was loaded for it; raises `ModelError` unless it brings all that is new."""
    try:
        from peft import PeftModel, get_peft_model_state_dict
        from peft.utils import load_peft_weights
    except ImportError as error:
        raise ModelError(f"{name!r} holds an adapter, which needs peft: pip install 'grammask[adapters]'") from error
    keep_grammar_with_adapters()
    try:
        model = PeftModel.from_pretrained(loaded.model, name, is_trainable=trainable, **hub)
        there = load_peft_weights(name, device="cpu", **hub).keys()
    except KeyError as error:  # of modules that are saved whole
        raise ModelError(f"the adapter {name!r} is incomplete: it lacks {error.args[0]}") from error
    except Exception as error:  # peft raises many kinds for adapters that it cannot read
        raise ModelError(f"the adapter {name!r} cannot be loaded: {first_line(error)}") from error
    wanted = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
    fresh = [f"base_model.model.{key}" for key in loaded.new]
    if lost := sorted({*wanted, *fresh} - there):
        raise ModelError(f"the adapter {name!r} is incomplete: it lacks {lost[0]} ({len(lost)} in all)")
    return model


def _check_saves_strengths(model: PreTrainedModel) -> None:
    strengths = getattr(model.base_model, STRENGTHS, None)
    if strengths is not None and not hasattr(strengths, "modules_to_save"):
        raise ModelError(f"the learned strengths would not be saved with the adapter; {_REMEDY}")


def _save_configs(model: PreTrainedModel, folder: Path, adapters: Iterable[str]) -> None:
    model.config.architectures = [type(model).__name__]
    for adapter in adapters:  # peft gives each its own folder, but for the first
        model.config.save_pretrained(str(folder if adapter == "default" else folder / adapter))
