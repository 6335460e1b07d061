"""The one strict way to load weights: all that a model needs, of its own architecture, or an error.

Where a weights file lacks tensors, or has more than the model, transformers only warns: it makes up random numbers and
drops the rest. Here both are errors, except for parts that may be `new`, such as a head that will be trained.
"""

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from ..errors import GrammaskError, ModelError
from ..files.find_file import hub_arguments
from ..files.pin_revision import pin_revision
from ..printing import reason
from .model_files import read_config, weights_bytes
from .strengths import STRENGTHS

# What may be missing from the weights: nothing; the pooler, where nobody uses its output; or the head of a classifier
# that will be trained, and the pooler below it.
New = Literal["nothing", "pooler", "head"]
_POOLER: Final[str] = "pooler"
_SLACK: Final[int] = 10_000_000  # numbers that are in no weights file, such as position numbers


@dataclass(frozen=True)
class Loaded:
    """A model, the names of its parameters that are new (random), and what transformers reports about the loading."""

    model: PreTrainedModel
    new: tuple[str, ...]
    info: Mapping[str, Any]


def load_weights(model_class: Any, name_or_path: str | Path, *, new: New = "nothing", **kwargs: Any) -> Loaded:
    """Load a model of a transformers class (or Auto class) from a folder or the Hub.

    `kwargs` go to `model_class.from_pretrained`; those that say where the files are reach every read. Raises
    `ModelError` where the folder brings code of its own, its files are damaged, or weights are missing, of another
    shape or of another architecture, but for what may be `new`; with `ignore_mismatched_sizes`, shapes may differ.
    """
    name = str(name_or_path)
    if kwargs.pop("trust_remote_code", False) or not kwargs.pop("weights_only", True):
        raise ModelError("grammask runs no code of a model; leave trust_remote_code and weights_only out")
    resize = kwargs.pop("ignore_mismatched_sizes", False)
    hub = pin_revision(name, **hub_arguments(kwargs))
    kwargs.update(hub)
    config = read_config(name, **hub)
    kwargs.pop("output_loading_info", None)
    with _no_other_errors(name):
        if "gguf_file" not in kwargs and "state_dict" not in kwargs:
            quantised = getattr(config, "quantization_config", None) is not None
            _check_size(model_class, config, name, weights_bytes(name, floats=not quantised, **hub))
        model, info = model_class.from_pretrained(
            name, trust_remote_code=False, weights_only=True, ignore_mismatched_sizes=True, output_loading_info=True,
            **kwargs,
        )  # fmt: skip
    added = _new_parameters(model, info, name, new=new, resize=resize)
    _check_finite(model, name)
    return Loaded(model, added, info)


def _check_size(model_class: Any, config: PreTrainedConfig, name: str, size: int | None) -> None:
    """Raise `ModelError` where the config describes far more numbers than the weights hold, before they are made."""
    if size is None:
        raise ModelError(f"model {name!r} has no weights, neither model.safetensors nor pytorch_model.bin")
    build = getattr(model_class, "from_config", None) or model_class._from_config
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        empty = build(config)
    described = sum(tensor.numel() for tensor in (*empty.parameters(), *empty.buffers()))
    if described > 2 * size + _SLACK:  # two numbers a byte: what is quantised most
        raise ModelError(
            f"config.json of model {name!r} describes {described:,} numbers, but its weights are {size:,} bytes; they "
            "don't belong together"
        )


def _new_parameters(
    model: PreTrainedModel, info: Mapping[str, Any], name: str, *, new: New, resize: bool
) -> tuple[str, ...]:
    """Return the parameters that the weights file lacks; raises `ModelError` unless all of them may be new."""
    reshaped = {key: (there, wanted) for key, there, wanted in info["mismatched_keys"]}
    missing = sorted(set(info["missing_keys"]) - set(reshaped))
    wrong = [key for key in missing if not _may_be_new(model, key, new)]
    if wrong:
        raise ModelError(_misfit(model, name, f"lack {_some(wrong)}"))
    for key, (there, wanted) in reshaped.items():
        if not resize and not (new == "head" and _may_be_new(model, key, new)):
            shapes = f"{tuple(there)} where the model has {tuple(wanted)}"
            raise ModelError(_misfit(model, name, f"hold {key} of shape {shapes}"))
    if strange := sorted(key for key in info["unexpected_keys"] if _is_inside(model, key)):
        raise ModelError(_misfit(model, name, f"hold {_some(strange)}, for which it has no place"))
    return tuple(sorted({*missing, *reshaped}))


def _check_finite(model: PreTrainedModel, name: str) -> None:
    for key, parameter in model.named_parameters():
        if parameter.is_floating_point() and not parameter.is_meta and not bool(parameter.isfinite().all()):
            raise ModelError(
                f"the weights of model {name!r} are damaged, or of a training that diverged: {key} holds NaN or "
                "infinity"
            )


def _may_be_new(model: PreTrainedModel, key: str, new: New) -> bool:
    prefix = f"{model.base_model_prefix}."
    below = key.removeprefix(prefix)
    in_pooler = below.split(".")[0] == _POOLER
    in_head = model.base_model is not model and not key.startswith(prefix)
    return (in_pooler and new != "nothing") or (in_head and new == "head")


def _is_inside(model: PreTrainedModel, key: str) -> bool:
    """Tell whether an unexpected tensor belongs to the base model; heads and poolers may be left out."""
    prefix = f"{model.base_model_prefix}."
    first = key.removeprefix(prefix).split(".")[0]
    if first in (_POOLER, STRENGTHS):  # learned strengths are no part of the stock model
        return False
    return key.startswith(prefix) or first in {part for part, _ in model.base_model.named_children()}


def _misfit(model: PreTrainedModel, name: str, how: str) -> str:
    return (
        f"the weights of model {name!r} are incomplete, renamed, or of another architecture than its config.json "
        f"({type(model).__name__}): they {how}"
    )


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:2]) + (f" and {len(keys) - 2} more" if len(keys) > 2 else "")


@contextmanager
def _no_other_errors(name: str) -> Iterator[None]:
    """Turn whatever transformers, torch and safetensors raise for a model into one line."""
    try:
        yield
    except GrammaskError:
        raise
    except pickle.UnpicklingError as error:  # its message advises to run what the file holds
        raise ModelError(
            f"the pickled weights of model {name!r} are damaged, or hold other things than tensors, which are never "
            "loaded; take model.safetensors"
        ) from error
    except Exception as error:
        raise ModelError(f"model {name!r} cannot be loaded: {reason(error)}") from error
