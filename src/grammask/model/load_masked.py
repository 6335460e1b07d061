"""Loading models that predict masked tokens."""

from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoModelForMaskedLM, PreTrainedModel

from ..errors import ModelError
from .load_weights import load_weights
from .model_files import read_config
from .model_source import ModelSource
from .named_models import check_stock


def load_masked(source: ModelSource, *, new_head: bool = False) -> PreTrainedModel:
    """Load a masked language model; with `new_head`, one without that head gets a random one, so seed first.

    Raises `ModelError` for a model of another kind, without that head, or saved with a grammar.
    """
    check_stock(source)
    config = read_config(source.location, **source.pinned)
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise ModelError(
            f"model {source.name!r} ({config.model_type}) has no form that predicts masked words; take an encoder such "
            "as minilm"
        )
    if not new_head and "ForMaskedLM" not in " ".join(config.architectures or ()):
        raise ModelError(
            f"model {source.name!r} was saved without a head that predicts masked words; take one that `grammask "
            "pretrain` made, or a causal language model such as smollm2"
        )
    return load_weights(
        AutoModelForMaskedLM, source.location, new="head" if new_head else "nothing", **source.pinned
    ).model
