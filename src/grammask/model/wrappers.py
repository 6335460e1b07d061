"""Guided models inside other libraries: the model that they wrap, and calls that go past torch's hooks.

peft, DistributedDataParallel, torch.compile and SentenceTransformer keep the model as a submodule, each under its own
name, so `inner_model` finds it by its class. SentenceTransformer also calls the forward of the base model directly.
"""

import inspect
from types import CodeType
from typing import Any, Final

from torch import nn
from transformers import PreTrainedModel

from ..errors import ModelError

INPUTS: Final[tuple[str, ...]] = ("tag_ids", "word_ids", "sentence_ids")


def inner_model(model: object) -> PreTrainedModel:
    """Return the outermost transformers model in `model`; raises `ModelError` where there is none, or several."""
    if not isinstance(model, nn.Module):
        raise ModelError(f"this needs a transformers model (PreTrainedModel), but got {type(model).__name__}")
    outermost = _outermost(model)
    if not outermost:
        raise ModelError(
            f"this needs a transformers model (PreTrainedModel), but {type(model).__name__} is none and holds none"
        )
    if len(outermost) > 1:
        raise ModelError(
            f"{type(model).__name__} holds {len(outermost)} transformers models "
            f"({', '.join(type(one).__name__ for one in outermost)}); attach to one of them"
        )
    return outermost[0]


def _outermost(module: nn.Module) -> list[PreTrainedModel]:
    if isinstance(module, PreTrainedModel):
        return [module]
    # A dictionary: a wrapper may hold one model under two names.
    return list(dict.fromkeys(one for child in module.children() for one in _outermost(child)))


def own_signature(model: nn.Module, method: str) -> inspect.Signature:
    """Return the signature of a model's own method, which another one replaces."""
    own = inspect.signature(getattr(type(model), method))
    return own.replace(parameters=list(own.parameters.values())[1:])


def with_annotation(own: inspect.Signature) -> inspect.Signature:
    """Return a signature with the inputs that an annotation adds, by which callers find out what a model takes."""
    extra = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in INPUTS]
    *before, last = own.parameters.values()
    rest = [last] if last.kind is inspect.Parameter.VAR_KEYWORD else []
    return own.replace(parameters=[*before, *([] if rest else [last]), *extra, *rest])


class NamedForward:
    """Replaces the forward of a guided model, to name the inputs that it takes: a Trainer keeps their columns."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the forward of the class."""
        return type(self._model).forward(self._model, *args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature of the original forward, with the annotation."""
        return with_annotation(own_signature(self._model, "forward"))

    @property
    def __code__(self) -> CodeType:
        """The code of the original forward, which `torch.export` names in its messages."""
        code: CodeType = inspect.unwrap(type(self._model).forward).__code__
        return code


class DirectForward(NamedForward):
    """Replaces `base.forward`: a direct call, such as SentenceTransformer's, becomes one that runs hooks."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the forward of the class, once the hooks of the call have put the grammar among the arguments."""
        if "grammar_pass" in kwargs:
            return type(self._model).forward(self._model, *args, **kwargs)
        return self._model(*args, **kwargs)
