"""What a model is asked: a label of the text, or the token after its last place.

A causal model's answer at a place depends on nothing after it. So a token within a text is explained as the next one of
the text before it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import ModelError
from ..grammar.tags import CLS
from ..model.forward_pass import LAYERS_ATTRIBUTE


@dataclass(frozen=True)
class PredictedToken:
    """A token that a language model predicts, and how well.

    `place` is its number in the text, counted from 0. `in_text` tells that it is the text's own token; the token after
    the text is the likeliest one. `likelier` counts the tokens that the model finds likelier.
    """

    id: int
    place: int
    in_text: bool
    log_probability: float
    likelier: int


@dataclass(frozen=True)
class Answer:
    """An answer: its index in the logits, its name, and the probabilities of it and others by their names."""

    index: int
    label: str
    probabilities: dict[str, float]
    token: PredictedToken | None = None


def predicts_tokens(model: PreTrainedModel) -> bool:
    """Whether a model answers with the next token: a causal language model."""
    return bool(model.can_generate())


def reads_back_only(model: PreTrainedModel) -> bool:
    """Whether no token reads what stands after it, by the model's own mask."""
    modules = [module for module in model.base_model.modules() if hasattr(module, LAYERS_ATTRIBUTE)]
    return all(bool(getattr(module, "is_causal", False)) for module in modules)


def ask(model: PreTrainedModel, inputs: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the logits (answers,) of one text, and the attention (1, heads, length, length) of each layer.

    Raises `ModelError` unless answers are labels of which one holds, or tokens after what was read: hidden states,
    numbers, and several labels are no answer.
    """
    with torch.no_grad():
        output = model(**inputs, **_how(model), output_attentions=True)
    logits, kind = getattr(output, "logits", None), type(model).__name__
    if predicts_tokens(model):
        if not reads_back_only(model):
            raise ModelError(
                f"{kind} reads what follows a token, so it doesn't predict it; load a causal language model (of an "
                "encoder, with is_decoder=True)"
            )
        return logits[0, -1], output.attentions  # type: ignore[index]
    problem = getattr(model.config, "problem_type", None) or "single_label_classification"
    if logits is None or logits.dim() != 2 or logits.shape[1] < 2 or problem != "single_label_classification":
        raise ModelError(
            f"{kind} doesn't choose one of several labels for a text, or a token after it; load a classifier of "
            "sequences or a causal language model"
        )
    return logits[0], output.attentions


def answer_logits(model: PreTrainedModel, inputs: dict[str, Tensor]) -> Tensor:
    """Return the logits (batch, answers) of texts: of their labels, or of the tokens after their last places."""
    logits: Tensor = model(**inputs, **_how(model)).logits
    return logits[:, -1] if predicts_tokens(model) else logits


def _how(model: PreTrainedModel) -> dict[str, Any]:
    # Logits of all places would be larger than all else.
    last = {"use_cache": False, "logits_to_keep": 1} if predicts_tokens(model) else {}
    return {**last, "return_dict": True}


def worth(model: PreTrainedModel, logits: Tensor, answer: int) -> Tensor:
    """Return what importance is counted in, of logits (batch, answers): (batch,).

    It is the probability of a label, but the log-probability of a token, since most tokens are unlikely.
    """
    return (logits.log_softmax(-1) if predicts_tokens(model) else logits.softmax(-1))[:, answer]


def label_answer(model: PreTrainedModel, logits: Tensor) -> Answer:
    """Return the likeliest label of logits (labels,)."""
    probabilities = logits.softmax(-1)
    label = int(probabilities.argmax())
    names = [str(name) for name in (model.config.id2label or {}).values()]
    return Answer(label, names[label], {names[number]: float(value) for number, value in enumerate(probabilities)})


def answering_token(tag_ids: Tensor, *, causal: bool) -> int:
    """Return the token of a text, `tag_ids` (1, length), by which a model answers: the last, or else [CLS]."""
    if causal:
        return tag_ids.shape[1] - 1
    classifiers = (tag_ids[0] == CLS).nonzero()
    return int(classifiers[0]) if len(classifiers) else 0
