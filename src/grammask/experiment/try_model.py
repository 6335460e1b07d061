"""Whether a comparison fits its model: tried on a few tokens, before anything is tagged or trained."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..data.task import Task
from ..errors import ModelError
from ..grammar.grammar import Grammar
from ..model.attach import attached
from ..model.count_positions import count_positions
from ..model.model_source import ModelSource
from ..model.projections import renew_projections
from ..printing import reason
from ..tagging.encode import encode
from .config import Config
from .cost import ModelShape, measure_shape
from .load_model import load_model

_TEXTS = ("a", "a b c", "a b c d")  # lengths that no number but 1 divides, for what a model computes in parts


@dataclass(frozen=True)
class TriedModel:
    """What is known of a model that was tried; `new_parameters` names those that it doesn't bring, its head's."""

    model_type: str
    hidden_size: int
    parameters: int
    new_parameters: tuple[str, ...]
    shape: ModelShape


def try_model(
    config: Config, task: Task, source: ModelSource, tokenizer: PreTrainedTokenizerBase, grammars: Iterable[Grammar]
) -> tuple[Config, TriedModel]:
    """Load a model once, classify and guide it, and return the settings that fit it and what is known of it.

    Raises `ModelError`, so that a model that cannot be used says so now and not after the first run.
    """
    set_seed(0)
    loaded = load_model(config, task, source, tokenizer)
    model = loaded.model
    fitted = fit_length(config, model)
    try_classifier(model, tokenizer, source, pairs=task.train.pairs is not None, max_length=fitted.max_length)
    if config.attention != "kept":
        renew_projections(model, seed=0)
    for grammar in grammars:
        with attached(model, grammar):
            pass
    return fitted, TriedModel(
        model_type=model.config.model_type,
        hidden_size=model.config.hidden_size,
        parameters=model.num_parameters(),
        new_parameters=tuple(loaded.new),
        shape=measure_shape(model),
    )


def try_classifier(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: ModelSource,
    *,
    pairs: bool,
    max_length: int,
) -> None:
    """Raise `ModelError` where a model cannot classify what its tokenizer makes of texts, or of `pairs` of them."""
    model.train(False)
    for texts in pairwise(_TEXTS):
        encoded = encode(
            tokenizer, list(texts), list(texts) if pairs else None, max_length=max_length, return_tensors="pt"
        )
        inputs = dict(encoded.convert_to_tensors("pt"))
        labels = torch.zeros(len(texts), dtype=torch.long)
        logits = _classify(model, {**inputs, "labels": labels}, source, what="pairs of texts" if pairs else "texts")
        shape = (len(texts), model.config.num_labels)
        if tuple(logits.shape) != shape:
            raise ModelError(f"model {source.name!r} answers with numbers {tuple(logits.shape)}, not {shape}")
        if not bool(logits.isfinite().all()):
            raise ModelError(
                f"model {source.name!r} answers with NaN or infinity before any training; its config.json or its "
                "weights are damaged"
            )


def _classify(model: PreTrainedModel, inputs: dict[str, Tensor], source: ModelSource, *, what: str) -> Tensor:
    try:
        with torch.no_grad():
            logits: Tensor = model(**inputs).logits
    except Exception as error:  # a foreign model may raise anything
        raise ModelError(
            f"model {source.name!r} cannot read the {what} of its own tokenizer; its config.json doesn't fit one of "
            f"them: {reason(error)}"
        ) from error
    return logits


def fit_length(config: Config, model: PreTrainedModel) -> Config:
    """Return `config` with a length that the model has positions for.

    Raises `ModelError` for a length that was asked for and is more than that; the default is cut to it.
    """
    most = count_positions(model)
    if most is None or config.max_length <= most:
        return config
    if "max_length" in config.model_fields_set:
        raise ModelError(
            f"--max-length {config.max_length} is more than the {most} tokens that model {config.model!r} reads"
        )
    return config.model_copy(update={"max_length": most})
