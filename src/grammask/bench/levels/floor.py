"""A model whose attention mixes nothing: the floor that no attention can bring a whole model below."""

from typing import Any, Final

from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

FLOOR: Final[str] = "no attention"
_NAME: Final[str] = "grammask_floor"


def without_attention(model: PreTrainedModel) -> PreTrainedModel:
    """Let every token read itself only, in place. All projections stay, and all get their gradients."""
    AttentionInterface.register(_NAME, _itself)
    model.set_attn_implementation(_NAME)
    return model


def ideal_speedup(full: float, floor: float, share: float) -> float:
    """Return the speed-up of a whole model whose attention takes `share` of full attention's time above the floor."""
    return full / (floor + share * max(full - floor, 0.0))


def _itself(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
    output = value + 0.0 * (query + key)
    return output.transpose(1, 2).contiguous(), None
