"""extend_positions: BERT-like models with learned positions read texts that are longer than their table."""

import operator
from copy import deepcopy
from typing import Any, Final, TypeVar

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError, ModelError
from ..printing import quoted
from ..tagging.annotate import Annotator
from .attachment import annotator_of
from .position_methods import PositionMethod, check_method
from .position_table import find_table
from .sentence_wrapping import sentence_modules
from .wrappers import inner_model

Model = TypeVar("Model", bound=nn.Module)
POSITIONS_KEY: Final[str] = "grammask_positions"
_MOST: Final[int] = 1_000_000


def extend_positions(
    model: Model,
    max_length: int,
    method: PositionMethod = "tile",
    *,
    annotator: Annotator | PreTrainedTokenizerBase | None = None,
) -> Model:
    """Let a BERT-like model read texts beyond the positions that it learned (512 for most), in place.

    Its table of positions grows, and the config says so: `max_position_embeddings`, and `grammask_positions` with the
    method and the length before. So the model is saved and loaded as it is, by transformers too. Extend before
    `attach` or after it, and before an optimizer is made, since the table is a new parameter. Then train on long
    texts: the model never saw any. See docs/models.md.

    Args:
        model: A transformers model with a table of learned positions, such as BERT, RoBERTa, DistilBERT, ELECTRA or
            MPNet, or a model of sentence-transformers around one.
        max_length: The most tokens of a text from now on, special tokens included.
        method: "tile" repeats the table, as Longformer was made: texts that fitted before have the same outputs, to
            the bit. "interpolate" spreads the table over the new length, which changes all positions but the first.
        annotator: The `Annotator` or the tokenizer of the texts, which cuts at `max_length` from now on. The annotator
            that the model was attached with does so by itself, as a model of sentence-transformers does.

    Returns:
        The object that was given as `model`.

    Raises:
        ModelError: For a model without such a table (rotary positions need none), one that was extended before, and one
            that is wrapped already (peft, DistributedDataParallel, torch.compile).
        InputError: For a `max_length` that is no whole number above the present one, an unknown `method`, and an
            `annotator` that is none.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> model = BertModel(BertConfig(hidden_size=24, num_hidden_layers=2))
        >>> model = grammask.extend_positions(model, 2048)
        >>> model(input_ids=torch.full((1, 1500), 7)).last_hidden_state.shape
        torch.Size([1, 1500, 24])
        >>> model.config.max_position_embeddings, model.config.grammask_positions
        (2048, {'method': 'tile', 'from': 512})
    """
    inner, method = _unwrapped(model), check_method(method)
    _check_first(inner)
    positions = find_table(inner)
    before, wanted = positions.tokens, _check_length(max_length, inner, positions.tokens)
    cutters = [one for one in (annotator_of(inner), _check_annotator(annotator)) if one is not None]
    with torch.no_grad():
        rows = positions.lengthen(wanted, method)
    _note(inner, {"max_position_embeddings": rows, POSITIONS_KEY: {"method": method, "from": before}})
    for one in cutters:
        _cut_at(one, wanted)
    for module in sentence_modules(model):
        module.max_seq_length = wanted
    return model


def _unwrapped(model: nn.Module) -> PreTrainedModel:
    inner = inner_model(model)
    wrapped = inner is not model and not sentence_modules(model)
    if wrapped or any("peft_config" in vars(module) for module in model.modules()):
        kind = type(model).__name__ if wrapped else "an adapter"
        raise ModelError(
            f"{kind} knows the parameters of the model inside, and would not know of new positions: call "
            "grammask.extend_positions on the model, save it, and wrap it then"
        )
    return inner


def _check_first(model: PreTrainedModel) -> None:
    earlier = getattr(model.config, POSITIONS_KEY, None)
    if earlier is not None:
        raise ModelError(
            f"the positions of this {type(model).__name__} were extended before, as its config says "
            f"({POSITIONS_KEY}: {quoted(earlier)}); extend the model that it was made of"
        )


def _check_length(max_length: Any, model: PreTrainedModel, before: int) -> int:
    try:
        wanted = None if isinstance(max_length, bool) else operator.index(max_length)
    except TypeError:
        wanted = None
    if wanted is None or wanted > _MOST:
        raise InputError(f"max_length must be a whole number up to {_MOST:,}, but is {quoted(max_length)}")
    if wanted <= before:
        raise InputError(
            f"max_length is {wanted}, but this {type(model).__name__} reads {before} tokens already; positions are "
            "extended, never cut: for shorter texts give an Annotator or tokenizer its max_length"
        )
    return wanted


def _check_annotator(annotator: Any) -> Any:
    if annotator is not None and not isinstance(annotator, Annotator | PreTrainedTokenizerBase):
        raise InputError(f"annotator must be a grammask.Annotator or a tokenizer, but is {quoted(annotator)}")
    return annotator


def _cut_at(annotator: Annotator | PreTrainedTokenizerBase, max_length: int) -> None:
    if issubclass(type(annotator), Annotator):  # isinstance takes it for a tokenizer
        annotator.lengthen(max_length)
    else:
        annotator.model_max_length = max_length


def _note(model: PreTrainedModel, facts: dict[str, Any]) -> None:
    """Write facts into copies of the configs: models that were built from one object share it."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if isinstance(config, PreTrainedConfig):
            copied = deepcopy(config, memo)
            for name, value in facts.items():
                setattr(copied, name, deepcopy(value))
            object.__setattr__(module, "config", copied)  # as `nn.Module` has it, every attribute is a tensor
