"""What a pretraining begins with: a tokenizer, and a model with a head that predicts masked tokens."""

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, BertForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ...errors import ModelError
from ...model.count_positions import count_positions
from ...model.load_masked import load_masked
from ...model.model_source import ModelSource
from ...model.named_models import find_model, load_tokenizer
from ..scratch_model import scratch_config, scratch_source
from ..scratch_shape import read_shape
from .config import PretrainConfig


def find_source(config: PretrainConfig) -> ModelSource:
    """Return where the tokenizer is, and the weights if there are any; raises `ModelError`."""
    return find_model(config.model) if read_shape(config.model) is None else scratch_source(config.model)


def begin_tokenizer(
    config: PretrainConfig, source: ModelSource, texts: Sequence[str], saved: Path
) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer, or one of its kind that is learned from these texts, or was and is `saved`.

    Learning one twice gives two that differ a little. Raises `ModelError` where it has no token for what is masked.
    """
    tokenizer = load_tokenizer(source)
    if config.vocabulary is not None and saved.is_dir():
        tokenizer = AutoTokenizer.from_pretrained(saved, trust_remote_code=False)
    elif config.vocabulary is not None:
        tokenizer = tokenizer.train_new_from_iterator(texts, config.vocabulary, show_progress=False)
    if tokenizer.mask_token_id is None:
        raise ModelError(f"the tokenizer of model {config.model!r} has no token for what is masked; take an encoder")
    return tokenizer


def begin_model(config: PretrainConfig, source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Make or load the model, all that is new in it drawn by the seed; raises `ModelError`."""
    set_seed(config.seed)
    shape = read_shape(config.model)
    model: PreTrainedModel = (
        load_masked(source, new_head=True) if shape is None else BertForMaskedLM(scratch_config(shape, tokenizer))
    )
    most = count_positions(model)
    if most is not None and config.max_length > most:
        raise ModelError(
            f"--max-length {config.max_length} is more than the {most} tokens that model {config.model!r} reads"
        )
    return model
