"""The model of a comparison, as every run of it begins: with the task's classes, and with the positions asked for."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.task import Task
from ..errors import ModelError
from ..model.count_positions import count_positions
from ..model.extend_positions import extend_positions
from ..model.load_weights import Loaded
from ..model.model_source import ModelSource
from ..model.named_models import load_classifier
from .config import Config
from .scratch_model import make_scratch
from .scratch_shape import read_shape


def load_model(config: Config, task: Task, source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> Loaded:
    """Load or make a classifier for the classes of a task; with `--positions` it and its tokenizer read so many tokens.

    Raises `ModelError`, also for positions that cannot be extended, and for fewer than the model has.
    """
    shape = read_shape(config.model)
    if shape is None:
        loaded = load_classifier(source, task.label_names, pad_token_id=tokenizer.pad_token_id)
    else:
        loaded = make_scratch(shape, tokenizer, task.label_names)
    if config.positions is not None:
        _extend(loaded.model, config.positions, config, tokenizer)
    return loaded


def _extend(model: PreTrainedModel, positions: int, config: Config, tokenizer: PreTrainedTokenizerBase) -> None:
    has = count_positions(model)
    if has is not None and positions <= has:
        raise ModelError(
            f"--positions {positions} is not above the {has} tokens that model {config.model!r} reads already; leave "
            "it out, and cut texts with --max-length"
        )
    try:
        extend_positions(model, positions, config.position_method, annotator=tokenizer)
    except ModelError as error:
        raise ModelError(f"--positions {positions}: {error}; leave it out") from error
