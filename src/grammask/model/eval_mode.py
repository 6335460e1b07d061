"""Asking a model without training it: evaluation mode, and the attention weights of a batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode within a `with` block; afterwards each of its modules has its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def attention_weights(model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Return a model's attention weights of a batch, (batch, heads, length, length) for each layer.

    The model must be guided, or have eager attention: others return no weights.
    """
    with eval_mode(model), torch.no_grad():
        weights: tuple[Tensor, ...] = model(**inputs, output_attentions=True).attentions
    return weights
