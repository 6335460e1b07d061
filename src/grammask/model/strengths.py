"""Learned strengths: which may be learned, their initial values, and where a model keeps them."""

from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from ..errors import GrammarError, ModelError
from ..grammar.caching import outside_inference_mode
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy
from ..grammar.tables import ReachTables
from ..grammar.tags import NAMED

LearnStrengths = Literal["layer", "head"]
# The submodule of a base model that holds them. peft saves it with an adapter by this name (modules_to_save).
STRENGTHS: Final[str] = "grammask_strengths"


class StrengthTable(nn.Module):
    """Learned strengths: `table` (layers, heads or 1, tags, tags), in logits, for the tags that grammars name."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)


def strengths_of(base: nn.Module) -> Tensor | None:
    """Return the learned strengths of an attached base model (those of the active adapter), None where it has none."""
    module = getattr(base, STRENGTHS, None)
    if module is None:
        return None
    if module._forward_pre_hooks:  # set by peft where each text has its own adapter
        raise ModelError(
            "learned strengths of several adapters cannot be mixed in one batch (adapter_names); call the model once "
            "for each adapter, after set_adapter"
        )
    table: Tensor = module.table
    return table


def with_strengths(model_class: type[PreTrainedModel], learned: LearnStrengths) -> type[PreTrainedModel]:
    """Return a class like `model_class` whose models have learned strengths, which are loaded like all weights."""

    def build(self: PreTrainedModel, config: PreTrainedConfig, *args: Any, **kwargs: Any) -> None:
        model_class.__init__(self, config, *args, **kwargs)
        heads = config.num_attention_heads if learned == "head" else 1
        shape = (config.num_hidden_layers, heads, len(NAMED), len(NAMED))
        self.base_model.add_module(STRENGTHS, StrengthTable(torch.zeros(shape)))

    # transformers reads the source of the module that a class names.
    return type(model_class.__name__, (model_class,), {"__init__": build, "__module__": model_class.__module__})


def check_learnable(grammar: Grammar, strategy: Strategy, learn_strengths: str) -> None:
    """Raise `GrammarError` unless strengths can be learned in this way."""
    if learn_strengths not in ("layer", "head"):
        raise GrammarError(f'learn_strengths must be "layer", "head" or None, but is {learn_strengths!r}')
    if strategy != "soft":
        raise GrammarError(f"only the soft strategy has strengths to learn, but the strategy is {strategy!r}")
    if any(rule.reach.kind != "document" for rule in grammar.rules):
        raise GrammarError(
            f"grammar {grammar.name!r} has rules of bounded reach; learned strengths are tag x tag tables and "
            "stand for document reach only"
        )


def initial_strengths(
    layer_tables: tuple[tuple[ReachTables, ...], ...], heads: int, device: torch.device
) -> StrengthTable:
    """Return the grammar's own strengths as a parameter, for all heads or 1."""
    named = len(NAMED)
    tables = [document.strength[:, :named, :named] for document, *_ in layer_tables]
    if heads == 1 and any(table.shape[0] > 1 for table in tables):
        raise GrammarError('rules name heads: learn one table per head with learn_strengths="head"')
    with outside_inference_mode():
        stacked = torch.stack([table.expand(heads, named, named) for table in tables])
        return StrengthTable(stacked.masked_fill(stacked.isneginf(), 0.0).to(device))
