"""Models of sentence-transformers around a model that gets a grammar: their modules annotate texts, until `detach`.

sentence-transformers is looked for among what is loaded: a program that has none of its models needs none of it.
"""

import sys
from collections.abc import Iterator
from typing import Any, Final

from torch import nn

from ..tagging.annotate import Annotator
from .sentence_parts import check_options

_GUIDED: Final[tuple[str, str]] = (f"{__package__}.sentence_module", "SentenceModule")
_HOME: Final[str] = "sentence_transformers.base.modules.transformer"


def check_sentences(model: nn.Module) -> None:
    """Raise `ModelError` for a module of sentence-transformers that could not annotate its texts."""
    for module in _modules(model, _HOME, "Transformer"):
        check_options({name: getattr(module, name, None) for name in ("do_lower_case", "modality_config")})


def annotate_sentences(model: nn.Module, annotator: Annotator | None) -> None:
    """Let the modules of sentence-transformers in `model`, which has a grammar now, annotate their texts, or refuse."""
    for module in _modules(model, _HOME, "Transformer"):
        from .sentence_module import SentenceModule  # where sentence-transformers is there

        SentenceModule.take_over(module, annotator)


def free_sentences(model: nn.Module) -> None:
    """Undo `annotate_sentences`, also for a SentenceModule that was made as one."""
    for module in _modules(model, *_GUIDED):
        module.give_back()


def sentence_modules(model: nn.Module) -> list[Any]:
    """Return the modules of sentence-transformers in `model` that read texts, guided or not."""
    return [*_modules(model, _HOME, "Transformer"), *_modules(model, *_GUIDED)]


def _modules(model: nn.Module, home: str, name: str) -> Iterator[Any]:
    kind = getattr(sys.modules.get(home), name, None)
    return iter([module for module in model.modules() if type(module) is kind])
