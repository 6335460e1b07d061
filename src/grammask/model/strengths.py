"""Strengths that are learned: what may be learned, and from where learning starts."""

from typing import Literal

import torch
from torch import nn

from ..errors import GrammarError
from ..tables import ReachTables
from ..tags import TAGS
from .guide import Guide

LearnStrengths = Literal["layer", "head"]


def check_learnable(guide: Guide, learn_strengths: str) -> None:
    """Raise `GrammarError` unless the guide's strengths can be learned so."""
    if learn_strengths not in ("layer", "head"):
        raise GrammarError(f'learn_strengths must be "layer", "head" or None, but is {learn_strengths!r}')
    if guide.strategy != "soft":
        raise GrammarError(f"only the soft strategy has strengths to learn, but the strategy is {guide.strategy!r}")
    if any(rule.reach.kind != "document" for rule in guide.grammar.rules):
        raise GrammarError(
            f"grammar {guide.grammar.name!r} has rules of bounded reach; learned strengths are tag x tag tables and "
            "stand for document reach only"
        )


def initial_strengths(
    layer_tables: tuple[tuple[ReachTables, ...], ...], heads: int, device: torch.device
) -> nn.Parameter:
    """Return the grammar's own strengths as a parameter (layers, heads or 1, tags, tags)."""
    tables = [document.strength for document, *_ in layer_tables]
    if heads == 1 and any(table.shape[0] > 1 for table in tables):
        raise GrammarError('rules name heads: learn one table per head with learn_strengths="head"')
    stacked = torch.stack([table.expand(heads, len(TAGS), len(TAGS)) for table in tables])
    return nn.Parameter(stacked.masked_fill(stacked.isneginf(), 0.0).to(device))
