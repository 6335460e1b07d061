"""Rule ablation: switch off one rule at a time, and compare the model's answers."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
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
from .answers import answer_logits, predicts_tokens
from .explanation import Ablation
from .sources import Owners, Source, without

_TOKENS: Final[int] = 4096  # in one batch
_ROWS: Final[int] = 32
_CELLS: Final[int] = 1 << 26  # of the masks of a batch of several rows, over all layers

# A rule that is off, None where none is, and the masks (1, heads, length, length) that are left, by kind of layer.
_Case = tuple[Source | None, list[Tensor]]


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
        self, inputs: dict[str, Tensor], annotation: Annotation, owners: Owners, off: Sequence[Source], answer: int
    ) -> tuple[Ablation, ...]:
        """Return how the probability of an answer changes when each of `off` is switched off, for one text."""
        cases = self._cases(annotation, owners, off)
        asked: list[str] = []
        logs: list[float] = []
        while batch := list(islice(cases, self._rows(annotation))):
            asked += ["" if source is None else source.key for source, _ in batch]
            logits = self._answers(inputs, [masks for _, masks in batch]).double()
            logs += logits.log_softmax(-1)[:, answer].tolist()
        values = torch.tensor(logs, dtype=torch.float64)
        changes, log_changes = (
            dict(zip(asked, (found - found[0]).tolist(), strict=True)) for found in (values.exp(), values)
        )
        of_words = {source.key for source in off if self._is_of_words(source)}
        sizes = {key: abs(change) for key, change in self._shared_out(changes, log_changes).items() if key in of_words}
        total = sum(sizes.values()) or 1.0
        return tuple(
            Ablation(
                number, changes.get(source.key, 0.0), log_changes.get(source.key, 0.0),
                sizes.get(source.key, 0.0) / total if source.key in of_words else None,
            )
            for number, source in enumerate(owners.sources)
            if source in off
        )  # fmt: skip

    def _shared_out(self, changes: dict[str, float], log_changes: dict[str, float]) -> dict[str, float]:
        return log_changes if predicts_tokens(self._model) else changes

    def _rows(self, annotation: Annotation) -> int:
        length = annotation.tag_ids.shape[1]
        cells = len(self._layers) * self._heads * length**2
        return max(1, min(_ROWS, _TOKENS // length, _CELLS // cells))

    def _cases(self, annotation: Annotation, owners: Owners, off: Sequence[Source]) -> Iterator[_Case]:
        """Yield the whole grammar, and the grammar without each rule that allows a pair that no other rule does."""
        whole = [self._mask(None, layer, annotation) for layer in self._layers]
        return chain([(None, whole)], self._smaller(annotation, owners, off, whole))

    def _smaller(
        self, annotation: Annotation, owners: Owners, off: Sequence[Source], whole: list[Tensor]
    ) -> Iterator[_Case]:
        for source in off:
            if owners.has_pairs(source):
                masks = [
                    self._mask(source, layer, annotation) if self._applies(source, layer) else mask
                    for layer, mask in zip(self._layers, whole, strict=True)
                ]
                if any(owners.differ(*pair) for pair in zip(masks, whole, strict=True)):
                    yield source, masks

    def _mask(self, source: Source | None, layer: int, annotation: Annotation) -> Tensor:
        """Return the mask or bias (1, heads, length, length) of a layer without a rule."""
        make = dense_mask if self._is_hard else dense_bias
        return make(self._compiled(source, layer), annotation).expand(-1, self._heads, -1, -1)

    def _answers(self, inputs: dict[str, Tensor], masks: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return the logits (ablations, answers) of one text under given masks; `inputs` are (1, length)."""

        def mask_transform(_: Tensor, __: Annotation, number: int) -> Tensor:
            return torch.cat([kinds[number] for kinds in masks])

        set_mask_transform(self._model, mask_transform)
        try:
            with torch.no_grad():
                return answer_logits(
                    self._model, {name: values.expand(len(masks), -1) for name, values in inputs.items()}
                )
        finally:
            set_mask_transform(self._model, None)

    def _is_of_words(self, source: Source) -> bool:
        rules = [self._grammar.rules[rule] for rule in source.rules]
        return not rules or any(tag in UPOS for rule in rules for tag in rule.query)

    def _applies(self, source: Source, layer: int) -> bool:
        return not source.rules or any(self._grammar.rules[rule].applies_in_layer(layer) for rule in source.rules)

    def _compiled(self, source: Source | None, layer: int) -> tuple[ReachTables, ...]:
        key = ("" if source is None else source.key, layer)
        if key not in self._tables:
            grammar = self._grammar if source is None else without(self._grammar, source)
            self._tables[key] = compile_tables(grammar, layer=layer, heads=self._heads)
        return self._tables[key]
