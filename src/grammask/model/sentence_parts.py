"""What a SentenceModule is made of: the guided model that does a task, and its annotator; the rest is refused."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from torch import nn
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

from ..errors import InputError, ModelError, TaggingError
from ..files.find_file import HUB_ARGUMENTS, hub_arguments
from ..files.pin_revision import pin_revision
from ..printing import quoted
from ..tagging.annotate import Annotator
from .attachment import guide_of
from .count_positions import count_positions
from .from_pretrained import from_pretrained
from .wrappers import inner_model

EMBED: Final[str] = "feature-extraction"
# The tasks of sentence-transformers for texts, and the models that do them.
TASKS: Final[dict[str, Any]] = {
    EMBED: AutoModel,
    "sequence-classification": AutoModelForSequenceClassification,
    "text-generation": AutoModelForCausalLM,
    "fill-mask": AutoModelForMaskedLM,
}
_ANNOTATOR: Final[tuple[str, ...]] = ("tagger", "cache")
_TOKENIZER: Final[tuple[str, ...]] = ("model_max_length",)
_ANY: Final[tuple[str, ...]] = (*HUB_ARGUMENTS, "trust_remote_code")  # code of a model's own never runs here
_REFUSED: Final[dict[str, str]] = {
    "do_lower_case": "words are tagged as they are written; lower the case of texts before",
    "tokenizer_name_or_path": "the tokenizer is the annotator's",
    "query_expansion": "what is put in place of padding has no tags",
}


def check_options(options: Mapping[str, Any]) -> None:
    """Raise `ModelError` for what sentence-transformers' own module does and a guided one doesn't."""
    for name, why in _REFUSED.items():
        if options.get(name):
            raise ModelError(f"a guided model of sentence-transformers takes no {name}: {why}")
    kinds = sorted(map(str, options.get("modality_config") or {"text": None}))
    if kinds != ["text"]:
        raise ModelError(
            f"a guided model of sentence-transformers reads texts only, but this one reads {', '.join(kinds)}; put "
            "grammask.SentenceModule(model, annotate) in its place to read texts as they are"
        )


def load_parts(
    name: str, task: str | None, annotator: Annotator | None, *, model: Any, processor: Any, config: Any
) -> tuple[nn.Module, Annotator]:
    """Load a guided model and its annotator, but for one that is given; raises as `load` does.

    `model`, `processor` and `config` are the keyword arguments that sentence-transformers takes for each.
    """
    _check_known(processor, "processor_kwargs", (*_ANNOTATOR, *_TOKENIZER))
    _check_known(config, "config_kwargs", ())
    asked = {key: value for key, value in (model or {}).items() if key != "trust_remote_code"}
    hub = pin_revision(name, **hub_arguments(asked))
    asked.update(hub)
    wanted = None if task is None else TASKS[task]
    found: nn.Module = from_pretrained(name, model_class=wanted, annotator=False, **asked)
    if annotator is None:
        tagging = {key: value for key, value in (processor or {}).items() if key in _ANNOTATOR}
        try:
            annotator = Annotator.from_pretrained(name, **tagging, **hub)
        except TaggingError as error:
            raise TaggingError(f"{error} (in sentence-transformers: processor_kwargs={{'tagger': ...}})") from error
    return found, annotator


def choose_annotator(model: nn.Module, annotator: Annotator | None) -> Annotator:
    """Return the annotator that is given, or else the model's own; raises for none."""
    chosen = guide_of(model).annotator if annotator is None else annotator
    if chosen is None:
        raise ModelError(
            "this model was attached without an annotator; give one: grammask.SentenceModule(model, annotate), or "
            "grammask.attach(..., annotator=annotate)"
        )
    # A tokenizer and what stands for one look alike to isinstance.
    if not issubclass(type(chosen), Annotator):
        raise InputError(f"annotator must be a grammask.Annotator, but is {quoted(chosen)}")
    return chosen


def fit_annotator(annotator: Annotator, model: nn.Module, limit: int | None, task: str) -> Annotator:
    """Return an annotator that cuts at `limit`, or else where its tokenizer does, and no later than a model ends.

    It pads on the right, since positions count from the first column; but the answer of a model that writes on is that
    of the last column.
    """
    side = "left" if task == "text-generation" else "right"
    if annotator.tokenizer.padding_side != side:
        annotator = copy.deepcopy(annotator)
        annotator.tokenizer.padding_side = side
    positions, own = count_positions(inner_model(model)), annotator.tokenizer.model_max_length
    asked = own if limit is None else limit
    end = asked if positions is None else min(asked, positions)
    wanted = None if end == own else end
    return annotator if annotator.max_length in (wanted, end) else annotator.cut_at(wanted)


def check_task(task: str | None) -> None:
    """Raise `InputError` unless None or a task for texts."""
    if task is not None and task not in TASKS:
        raise InputError(f"transformer_task must be one of {', '.join(TASKS)}, but is {quoted(task)}")


def find_task(model: nn.Module, task: str | None) -> tuple[nn.Module, str]:
    """Return the model that does a task, where None is that of its head, and the task; raises `ModelError`."""
    inner = inner_model(model)
    done = [name for name, kind in TASKS.items() if kind._model_mapping.get(type(inner.config), None) is type(inner)]
    own = EMBED if inner.base_model is inner else next(iter(done), None)
    if own is not None and task in (None, own):
        return model, own
    if task == EMBED and inner is model:
        return inner.base_model, EMBED
    raise ModelError(
        f"{type(inner).__name__} does {own or 'no task of sentence-transformers'}, not {task or 'one of them'}; guide "
        "a model of another class, or for embeddings take its base: transformer_task='feature-extraction'"
    )


def _check_known(arguments: Mapping[str, Any] | None, name: str, known: tuple[str, ...]) -> None:
    for key in arguments or {}:
        if key not in (*known, *_ANY):
            raise InputError(f"{name} of a guided model has no {quoted(key)}; it takes {', '.join((*known, *_ANY))}")
