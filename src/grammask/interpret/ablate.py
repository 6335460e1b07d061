"""Rule ablation: switch off one rule at a time, and compare the model's answers."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..attention.dense import dense_bias, dense_mask
from ..attention.inputs import Annotation
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy
from ..grammar.tables import ReachTables, compile_tables
from ..grammar.tags import UPOS
from ..model.attach import set_mask_transform
from .explanation import Ablation
from .sources import Owners, Source, without

_TOKENS: Final[int] = 4096  # in one batch
_ROWS: Final[int] = 32


class Ablations:
    """Compares a model's answer to a text with its answers under its grammar without one rule.

    The masks are the dense ones of the grammar without the rule.
    """

    def __init__(
        self, model: PreTrainedModel, grammar: Grammar, strategy: Strategy, *, layers: int, heads: int
    ) -> None:
        self._model = model
        self._grammar = grammar
        self._is_hard = strategy == "hard"
        self._heads = heads
        active: dict[tuple[bool, ...], int] = {}
        for layer in range(layers):
            active.setdefault(tuple(rule.applies_in_layer(layer) for rule in grammar.rules), layer)
        # A plan makes one mask for layers with equal rules, in the order of the layers.
        self._layers = tuple(active.values())
        self._tables: dict[tuple[str, int], tuple[ReachTables, ...]] = {}

    def changes(
        self, inputs: dict[str, Tensor], annotation: Annotation, owners: Owners, off: Sequence[Source], label: int
    ) -> tuple[Ablation, ...]:
        """Return how the probability of a label changes when each of `off` is switched off, for one text."""
        whole = self._masks(None, annotation)
        asked, masks = [], [whole]
        for source in off:
            if owners.has_pairs(source):
                smaller = self._masks(source, annotation)
                if any(not torch.equal(one, other) for one, other in zip(smaller, whole, strict=True)):
                    asked.append(source)
                    masks.append(smaller)
        before, *after = self._answers(inputs, masks).double().softmax(-1)[:, label].tolist()
        changes = {source.key: value - before for source, value in zip(asked, after, strict=True)}
        of_words = {source.key for source in off if self._is_of_words(source)}
        total = sum(abs(change) for key, change in changes.items() if key in of_words) or 1.0
        found = []
        for number, source in enumerate(owners.sources):
            if source in off:
                change = changes.get(source.key, 0.0)
                found.append(Ablation(number, change, abs(change) / total if source.key in of_words else None))
        return tuple(found)

    def _masks(self, source: Source | None, annotation: Annotation) -> list[Tensor]:
        """Return the masks or biases (1, heads, length, length) without a rule, one for each kind of layer."""
        make = dense_mask if self._is_hard else dense_bias
        return [
            make(self._compiled(source, layer), annotation).expand(-1, self._heads, -1, -1) for layer in self._layers
        ]

    def _answers(self, inputs: dict[str, Tensor], masks: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return the logits (ablations, labels) of one text under given masks; `inputs` are (1, length)."""
        rows = max(1, min(_ROWS, _TOKENS // inputs["input_ids"].shape[1]))
        found = []
        for start in range(0, len(masks), rows):
            part = masks[start : start + rows]
            layers = [torch.cat(kind) for kind in zip(*part, strict=True)]

            def mask_transform(_: Tensor, __: Annotation, number: int, layers: list[Tensor] = layers) -> Tensor:
                return layers[number]

            set_mask_transform(self._model, mask_transform)
            try:
                with torch.no_grad():
                    batch = {name: values.expand(len(part), -1) for name, values in inputs.items()}
                    found.append(self._model(**batch).logits)
            finally:
                set_mask_transform(self._model, None)
        return torch.cat(found)

    def _is_of_words(self, source: Source) -> bool:
        return source.rule is None or any(tag in UPOS for tag in self._grammar.rules[source.rule].query)

    def _compiled(self, source: Source | None, layer: int) -> tuple[ReachTables, ...]:
        rule = None if source is None or source.rule is None else self._grammar.rules[source.rule]
        if source is not None and rule is not None and not rule.applies_in_layer(layer):
            source = None
        key = ("" if source is None else source.key, layer)
        if key not in self._tables:
            grammar = self._grammar if source is None else without(self._grammar, source)
            self._tables[key] = compile_tables(grammar, layer=layer, heads=self._heads)
        return self._tables[key]
