"""What a guided model does in place of its class's own methods when it is saved, and shown."""

import inspect
from pathlib import Path
from typing import Any, Final, Protocol

from transformers import PreTrainedModel

from ..grammar.grammar import Grammar
from ..printing import printable
from ..tagging.annotate import Annotator
from ..tagging.saved_annotator import ANNOTATOR_FILE
from .model_card import write_card
from .wrappers import own_signature

_SAVE: Final[str] = "save_pretrained"
_SHOW: Final[str] = "extra_repr"


class Guided(Protocol):
    """What is saved and shown of a guide."""

    grammar: Grammar
    strategy: Any
    annotator: Annotator | None


def guide_saving(model: PreTrainedModel, guide: Guided) -> None:
    """Replace the methods by which a model, or its base alone, is saved, and by which it is shown."""
    for module in (model.base_model, model):
        vars(module)[_SAVE] = GuidedSave(module, guide)
    vars(model)[_SHOW] = GuidedRepr(model, guide)


def free_saving(model: PreTrainedModel) -> None:
    """Undo `guide_saving`."""
    for module in (model.base_model, model):
        vars(module).pop(_SAVE, None)
    vars(model).pop(_SHOW, None)


def save_beside(model: PreTrainedModel, folder: Path) -> None:
    """Write a guided model's annotator and its section of the card into a folder that the model was saved to."""
    save = vars(model).get(_SAVE)
    if isinstance(save, GuidedSave):
        save.beside(folder)


class GuidedSave:
    """Replaces `model.save_pretrained`: also writes the annotator, and the grammar into the model card."""

    def __init__(self, model: Any, guide: Guided) -> None:
        self._model = model
        self._guide = guide

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Save as the model's class does; what goes to the Hub is pushed once all of it is there."""
        call = inspect.signature(self).bind(*args, **kwargs)
        push = call.arguments.pop("push_to_hub", False)
        type(self._model).save_pretrained(self._model, *call.args, **call.kwargs)
        if not call.arguments.get("is_main_process", True):
            return
        folder = Path(call.arguments["save_directory"])
        self.beside(folder)
        if push:
            where = {"repo_id": folder.name, "token": call.arguments.get("token"), **call.arguments.get("kwargs", {})}
            self._model.push_to_hub(**where)

    def beside(self, folder: Path) -> None:
        """Write what belongs to the model; an annotator that another model left there goes."""
        annotator = self._guide.annotator
        if annotator is None:
            (folder / ANNOTATOR_FILE).unlink(missing_ok=True)
        else:
            annotator.save_pretrained(folder)
        tagger = None if annotator is None else annotator.settings.tagger
        write_card(folder, self._guide.grammar.name, self._guide.strategy, tagger)

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature of the model's own method."""
        return own_signature(self._model, _SAVE)


class GuidedRepr:
    """Replaces `model.extra_repr`: a line that says the grammar."""

    def __init__(self, model: Any, guide: Guided) -> None:
        self._model = model
        self._guide = guide

    def __call__(self) -> str:
        """Return what the model's class adds to its `repr`, and the grammar."""
        own: str = type(self._model).extra_repr(self._model)
        line = f"grammar={printable(repr(self._guide.grammar.name))}, strategy={self._guide.strategy!r}"
        return f"{own}\n{line}" if own else line
