"""The query, key and value projections of a model, found by structure: what an attention computes before it attends."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.pytorch_utils import Conv1D

from ..errors import ModelError
from ..printing import reason
from .eval_mode import eval_mode

_NAME: Final[str] = "grammask_projections"


def renew_projections(model: PreTrainedModel, seed: int) -> int:
    """Draw the query, key and value weights of a model anew, in place, and return how many numbers these are.

    They are drawn as models are before training: weights are normal, of the standard deviation that the config calls
    `initializer_range`; biases are 0. The draw depends on `seed` alone, and touches no other random state. Raises
    `ModelError` for a model whose projections cannot be found.
    """
    spread = getattr(model.config, "initializer_range", None)
    if not isinstance(spread, float) or not 0 < spread < inf:
        raise _refusal(model, f"initializer_range in its config is {spread!r}, which is no standard deviation")
    generator, count = torch.Generator().manual_seed(seed), 0
    for projection in find_projections(model):
        with torch.no_grad():
            drawn = torch.empty(projection.weight.shape).normal_(std=spread, generator=generator)  # equal on any device
            projection.weight.copy_(drawn)
            if projection.bias is not None:
                projection.bias.zero_()
        count += sum(parameter.numel() for parameter in projection.parameters())
    return count


def find_projections(model: PreTrainedModel) -> list[Any]:
    """Return the linear layers that make the queries, keys and values of each attention module, in their order.

    A module may have one for all three, or one for each. Raises `ModelError` where a layer's attention doesn't go
    through transformers' AttentionInterface, or its linear layers before that don't have the width of all three.
    """
    found: dict[nn.Module, list[Any]] = {}
    with _watched(model) as (called, attended):
        token = next(number for number in range(2) if number != getattr(model.config, "pad_token_id", None))
        tokens = torch.full((1, 2), token, device=model.device)
        model(input_ids=tokens, attention_mask=torch.ones_like(tokens))
    layers = getattr(model.config, "num_hidden_layers", None)
    if len(attended) != layers:
        raise _refusal(model, f"{len(attended)} of its {layers} layers attend by transformers' AttentionInterface")
    for module, before, width in attended:
        if module in found:  # layers that share weights: by now its own output layer was called too
            continue
        inside = set(module.modules())
        found[module] = [layer for layer in called[:before] if layer in inside]
        has = sum(layer.nf if isinstance(layer, Conv1D) else layer.out_features for layer in found[module])
        if has != width:
            raise _refusal(
                model,
                f"the linear layers of {type(module).__name__} before it attends make {has} numbers for each token, "
                f"but its queries, keys and values are {width}",
            )
    return [layer for layers_of in found.values() for layer in layers_of]


@contextmanager
def _watched(model: PreTrainedModel) -> Iterator[tuple[list[nn.Module], list[tuple[nn.Module, int, int]]]]:
    """Record the linear layers that a model calls, and each attention: its module, the calls before it, its width."""
    called: list[nn.Module] = []
    attended: list[tuple[nn.Module, int, int]] = []

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *given: Any, **named: Any) -> Any:
        width = sum(states.shape[1] * states.shape[3] for states in (query, key, value))
        attended.append((module, len(called), width))
        return sdpa_attention_forward(module, query, key, value, *given, **named)

    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear | Conv1D)]
    hooks = [layer.register_forward_hook(lambda layer, *_: called.append(layer)) for layer in linear]
    implementation: Any = model.config._attn_implementation
    try:
        model.set_attn_implementation(_NAME)
        with eval_mode(model), torch.no_grad():
            yield called, attended
    except ModelError:
        raise
    except Exception as error:  # a foreign model may raise anything
        raise _refusal(model, f"a dry run on two tokens failed: {reason(error)}") from error
    finally:
        model.set_attn_implementation(implementation)
        for hook in hooks:
            hook.remove()


def _refusal(model: PreTrainedModel, why: str) -> ModelError:
    return ModelError(
        f"the query, key and value weights of {model.config.model_type} ({type(model).__name__}) cannot be made anew: "
        f"{why}; keep them with --attention kept"
    )
