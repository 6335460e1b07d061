"""A model's own mask of places, merged with what else its mask says: made once for all layers that ask alike."""

from torch import Tensor

from ..grammar.caching import outside_inference_mode
from ..grammar.masks import merge_masks
from .inputs import Annotation
from .position_mask import PositionMask
from .tracing import is_tracing


class OwnMasks:
    """The dense masks of causality and windows over one batch."""

    def __init__(self, annotation: Annotation) -> None:
        self._tags = annotation.tag_ids
        # Keyed by identity: the key's mask is held beside the value, so that no identity is used again.
        self._kept: dict[tuple[PositionMask, int, int, int], tuple[object, Tensor]] = {}

    def of(self, position: PositionMask, model_mask: Tensor | None, queries: int) -> Tensor:
        """Return a mask of places for the last `queries` places, merged with a mask as in `Plan.mask`."""
        if is_tracing():
            return self._merged(position, model_mask, queries)
        key = (position, queries, id(model_mask), version(model_mask))
        if key not in self._kept:
            with outside_inference_mode():
                self._kept.setdefault(key, (model_mask, self._merged(position, model_mask, queries)))
        return self._kept[key][1]

    def _merged(self, position: PositionMask, model_mask: Tensor | None, queries: int) -> Tensor:
        allowed = position.allowed(queries, self._tags.shape[1], self._tags.device)
        return merge_masks(allowed[None, None], model_mask)


def version(tensor: Tensor | None) -> int:
    """Return how often a tensor was written to; those of inference mode don't count it."""
    return -1 if tensor is None or tensor.is_inference() else tensor._version
