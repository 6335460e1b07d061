"""Sorting the tokens once for the whole model, instead of once in every layer.

Between its embeddings and its last layer a model with absolute positions does not care in which order its tokens
stand, since each carries its position with it. So the embeddings' results are sorted by tag, and the encoder's results
are put back. Layers then take their keys as a slice instead of gathering them; queries, which are grouped by what they
read, and key sets that no order makes contiguous are still gathered. Padding stays where it is.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

from ..blocks.parts import backend_for, sorted_order
from ..errors import GrammarError, ModelError
from ..grammar import Grammar
from ..inputs import Annotation
from ..rules import Strategy
from ..tables import ReachTables

_ENCODERS: Final[tuple[str, ...]] = ("encoder", "transformer")


class TokenSorter:
    """Sorts and unsorts a model's hidden states, for one forward pass after the other."""

    def __init__(self, base: nn.Module) -> None:
        embeddings = getattr(base, "embeddings", None)
        encoder = next((found for name in _ENCODERS if isinstance(found := getattr(base, name, None), nn.Module)), None)
        if not isinstance(embeddings, nn.Module) or encoder is None:
            raise ModelError(
                f"{type(base).__name__} has no embeddings and encoder between which tokens could be sorted; leave "
                "sort_tokens out"
            )
        self._order: Tensor | None = None
        self.hooks = [
            embeddings.register_forward_hook(self._sort),
            encoder.register_forward_hook(self._put_back),
        ]

    def remove(self) -> None:
        """Take the hooks out of the model."""
        for hook in self.hooks:
            hook.remove()

    def set_order(self, order: Tensor | None) -> None:
        """Set the order (batch, length) of the coming pass; None leaves the tokens as they stand."""
        self._order = order

    def _sort(self, module: nn.Module, args: Any, output: Any) -> Any:
        if self._order is None:
            return output
        if not isinstance(output, Tensor):
            raise ModelError(f"{type(module).__name__} returns more than its embeddings; leave sort_tokens out")
        return _permuted(output, self._order)

    def _put_back(self, module: nn.Module, args: Any, output: Any) -> Any:
        if self._order is None:
            return output
        inverse = self._order.argsort(1)
        if isinstance(output, Tensor):
            return _permuted(output, inverse)
        output["last_hidden_state"] = _permuted(output[0], inverse)
        return output


def check_sortable(layer_tables: tuple[tuple[ReachTables, ...], ...], strategy: Strategy, grammar: Grammar) -> None:
    """Raise `GrammarError` unless all layers and heads share one table of document reach, under hard."""
    one = all(tables is layer_tables[0] for tables in layer_tables) and layer_tables[0][0].allowed.shape[0] == 1
    if strategy == "hard" and one and backend_for(layer_tables[0], strategy) == "sorted":
        return
    raise GrammarError(
        f"sort_tokens needs the hard strategy and one table of document reach for all layers and heads, but grammar "
        f"{grammar.name!r}, {strategy}, is otherwise; leave sort_tokens out"
    )


def order_of(annotation: Annotation, tables: tuple[ReachTables, ...]) -> tuple[Tensor, Annotation]:
    """Return the order (batch, length) in which keys are contiguous, and the annotation in it."""
    order = sorted_order(annotation.tag_ids, tables)
    return order, Annotation(
        annotation.tag_ids.gather(1, order), annotation.word_ids.gather(1, order), annotation.sentence_ids
    )


def _permuted(hidden: Tensor, order: Tensor) -> Tensor:
    """Reorder the tokens of (batch, length, size)."""
    return torch.stack([row.index_select(0, at) for row, at in zip(hidden, order, strict=True)])
