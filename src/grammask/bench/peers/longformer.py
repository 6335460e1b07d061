"""Longformer's sliding window, as transformers has it, at the grammar's density (Beltagy and others 2020)."""

from typing import Any, Final

from torch import Tensor
from transformers import LongformerConfig
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from ...attention.position_mask import FREE
from ..contender import CannotRunError, Ready
from ..operator_inputs import OperatorInputs, one_pass
from .fixed_projection import FixedProjection, as_states
from .own_pattern import check_heads, check_pattern

_SMALLEST_WINDOW: Final[int] = 4  # transformers' code fails at 2
_MOST_PADDING: Final[float] = 0.02


def longformer(inputs: OperatorInputs, density: float) -> Ready:
    """Longformer's self-attention without its projections and without global tokens, which would slow it down.

    As in transformers' own model, texts are padded to a multiple of the window.
    """
    check_pattern(inputs, FREE)
    check_heads(inputs)
    batch, heads, length, head_dim = inputs.shape
    window = choose_window(length, density)
    padding = -length % window
    config = LongformerConfig(
        hidden_size=heads * head_dim,
        num_attention_heads=heads,
        attention_window=[window],
        attention_probs_dropout_prob=0.0,
    )
    make: Any = LongformerSelfAttention  # has no annotations
    layer = make(config, layer_id=0).train(inputs.gradient is not None)
    query, key, value = (
        as_states(tensor, length_first=True, padding=padding) for tensor in (inputs.query, inputs.key, inputs.value)
    )
    layer.query = FixedProjection(query, copy=True)
    layer.key, layer.value = FixedProjection(key), FixedProjection(value)
    states = as_states(inputs.query.detach(), padding=padding)
    local = states.new_zeros(batch, length + padding)  # 0: a token that reads its window
    local[:, length:] = -10000.0  # padding
    absent, nowhere = local < 0, local > 0

    def attention() -> Tensor:
        output: Tensor = layer(
            states,
            attention_mask=local,
            is_index_masked=absent,
            is_index_global_attn=nowhere,
            is_global_attn=False,
        )[0]
        return output[:, :length]

    gradient = None if inputs.gradient is None else as_states(inputs.gradient)
    return Ready(
        one_pass(attention, (query, key, value), gradient),
        facts={
            "own_density": window_density(length, window),
            "note": f"window {window}, no global token, {padding} tokens of padding",
        },
    )


def choose_window(length: int, density: float) -> int:
    """Return the even window that comes nearest to `density` and needs next to no padding."""
    windows = [
        window for window in range(_SMALLEST_WINDOW, length + 1, 2) if -length % window <= _MOST_PADDING * length
    ]
    if not windows:
        raise CannotRunError(f"no window from {_SMALLEST_WINDOW} to {length} divides {length} tokens, or nearly so")
    return min(windows, key=lambda window: abs(window_density(length, window) - density))


def window_density(length: int, window: int) -> float:
    """Return the share of pairs in a window that reaches `window` / 2 tokens to either side."""
    side = window // 2
    return (length * (window + 1) - side * (side + 1)) / length**2
