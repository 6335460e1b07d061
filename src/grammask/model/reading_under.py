"""A model that reads under a grammar, or as it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

from ..grammar.grammar import Grammar
from .attach import attached


@contextmanager
def reading_under(model: PreTrainedModel, grammar: Grammar | None) -> Iterator[None]:
    """Let a model read under a grammar within a `with` block; None is full attention, the stock model."""
    if grammar is None:
        yield
        return
    with attached(model, grammar):
        yield
