"""What keeps peers out of a case: their pattern is their own, so they can match a density, but no other mask."""

from ...attention.position_mask import PositionMask
from ..contender import CannotRunError
from ..operator_inputs import OperatorInputs


def check_pattern(inputs: OperatorInputs, position: PositionMask) -> None:
    """Raise `CannotRunError` unless a pattern of blocked pairs, by itself under the mask `position`, fits a case."""
    if inputs.strategy == "soft":
        raise CannotRunError("soft blocks no pair, so there is no density to match; see hard")
    if inputs.position != position:
        kind = "causal" if position.causal else "not causal"
        raise CannotRunError(f"its pattern is {kind} and has a window of its own, so it fits no other mask")


def check_heads(inputs: OperatorInputs) -> None:
    """Raise `CannotRunError` where heads share keys."""
    if inputs.groups > 1:
        raise CannotRunError("each of its heads has keys of its own")
