"""peft on guided models: an adapter is saved with its grammar; learned strengths are trained and saved, or refused.

peft knows nothing of grammars. Where it is installed, we wrap two of its methods: `PeftModel.save_pretrained` then also
writes the guided model's config.json and annotator next to each adapter, where our `from_pretrained` looks, and
`PeftModel.from_pretrained` refuses such an adapter on a model without a grammar.
"""

from collections.abc import Iterable
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from warnings import catch_warnings, filterwarnings

import torch
from torch import nn
from transformers import PreTrainedModel

from ..errors import ModelError
from ..files.read import parse_json_object, read_bytes
from ..files.write import dump, write_whole
from ..printing import reason
from .load_weights import Loaded
from .model_files import ADAPTER
from .saved_grammar import CONFIG_KEY
from .saving import save_beside
from .strengths import STRENGTHS

_LOAD: Final[str] = "load it with grammask.from_pretrained"
_REMEDY: Final[str] = (
    f'name them when the adapter is made, after grammask.attach: LoraConfig(..., modules_to_save=["{STRENGTHS}"])'
)


def keep_grammar_with_adapters() -> None:
    """Wrap peft's methods, where it is installed; doing it again changes nothing."""
    if find_spec("peft") is None:
        return
    from peft import PeftModel  # also where a program imports it later

    peft_model: Any = PeftModel
    if hasattr(peft_model.save_pretrained, "__wrapped__"):
        return
    save, load = peft_model.save_pretrained, peft_model.from_pretrained.__func__

    @wraps(save)
    def save_pretrained(self: Any, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        model, adapters = self.get_base_model(), list(kwargs.get("selected_adapters") or self.peft_config)
        guided = _is_guided(model)
        if guided:
            _check_saves_strengths(model, adapters)
        save(self, save_directory, *args, **kwargs)
        if guided and kwargs.get("is_main_process", True):
            _save_configs(model, Path(save_directory), adapters)

    @wraps(load)
    def from_pretrained(cls: Any, model: Any, model_id: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_guided(model) and _has_grammar(Path(model_id) / (kwargs.get("subfolder") or "")):
            raise ModelError(f"the adapter {str(model_id)!r} was trained under a grammar; {_LOAD}")
        return load(cls, model, model_id, *args, **kwargs)

    peft_model.save_pretrained, peft_model.from_pretrained = save_pretrained, classmethod(from_pretrained)


def check_adapters(model: PreTrainedModel, base: nn.Module) -> None:
    """Raise `ModelError` for adapters that would lose the grammar, or freeze its strengths."""
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
    """Put a saved adapter on the model that was loaded for it; raises `ModelError` where it lacks new parameters."""
    try:
        from peft import PeftModel, get_peft_model_state_dict
        from peft.utils import load_peft_weights
    except ImportError as error:
        raise ModelError(f"{name!r} holds an adapter, which needs peft: pip install 'grammask[adapters]'") from error
    try:
        with catch_warnings():
            filterwarnings("ignore", message=r"Unexpected keyword arguments .*grammask")  # our own entry
            model = PeftModel.from_pretrained(loaded.model, name, is_trainable=trainable, **hub)
        there = load_peft_weights(name, device="cpu", **hub).keys()
    except KeyError as error:  # of modules that are saved whole
        raise ModelError(f"the adapter {name!r} is incomplete: it lacks {error.args[0]}") from error
    except Exception as error:  # peft raises many kinds for adapters that it cannot read
        raise ModelError(f"the adapter {name!r} cannot be loaded: {reason(error)}") from error
    wanted = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
    fresh = [f"base_model.model.{key}" for key in loaded.new]
    if loaded.model.config.grammask["learn_strengths"] is not None and not any(STRENGTHS in key for key in there):
        raise ModelError(f"the adapter {name!r} is incomplete: it lacks its learned strengths ({STRENGTHS})")
    if lost := sorted({*wanted, *fresh} - there):
        raise ModelError(f"the adapter {name!r} is incomplete: it lacks {lost[0]} ({len(lost)} in all)")
    return model


def _is_guided(model: Any) -> bool:
    return getattr(getattr(model, "config", None), CONFIG_KEY, None) is not None


def _has_grammar(folder: Path) -> bool:
    file = folder / "config.json"
    return file.is_file() and CONFIG_KEY in parse_json_object(read_bytes(file), origin=file)


def _check_saves_strengths(model: PreTrainedModel, adapters: Iterable[str]) -> None:
    strengths = getattr(model.base_model, STRENGTHS, None)
    for adapter in adapters:
        if strengths is not None and adapter not in getattr(strengths, "modules_to_save", ()):
            raise ModelError(f"the learned strengths would not be saved with the adapter {adapter!r}; {_REMEDY}")


def _save_configs(model: PreTrainedModel, folder: Path, adapters: Iterable[str]) -> None:
    model.config.architectures = [type(model).__name__]
    for adapter in adapters:
        own = folder if adapter == "default" else folder / adapter  # as peft does
        model.config.save_pretrained(str(own))
        settings = parse_json_object(read_bytes(own / ADAPTER), origin=own / ADAPTER)
        # peft shows an unknown entry in a warning, also where grammask isn't loaded: it says what to use.
        write_whole(own / ADAPTER, dump({**settings, CONFIG_KEY: _LOAD}))
        save_beside(model, own)
