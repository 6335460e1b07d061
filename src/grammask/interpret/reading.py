"""A text as a model reads it: annotated, and cut where the model has no more positions."""

from typing import Final

from torch import nn
from transformers import PreTrainedModel

from ..errors import ExplainError
from ..printing import quoted
from ..tagging.annotate import Annotator, ReadText

_UNLIMITED: Final[int] = 1 << 30


def read_by(model: PreTrainedModel, annotate: Annotator, text: str) -> ReadText:
    """Return one text with its inputs (1, length), cut to what tokenizer and model can hold.

    Raises `ExplainError` for a model that isn't on the CPU, where masks and attention are counted, and for what is no
    `Annotator`.
    """
    if not isinstance(annotate, Annotator):
        raise ExplainError(f"texts are read by an Annotator, but got {quoted(annotate)}")
    if model.device.type != "cpu":
        raise ExplainError(f"the model is on {model.device}; models are explained on the CPU: model.to('cpu')")
    longest = min(annotate.tokenizer.model_max_length, _positions(model))
    return annotate.read(text, max_length=longest)


def _positions(model: PreTrainedModel) -> int:
    """Return how many tokens the model has positions for; tokenizers don't always know."""
    for name, module in model.base_model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa and its kind count from behind the number of padding.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return int(getattr(model.config, "max_position_embeddings", _UNLIMITED))
