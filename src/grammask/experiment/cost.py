"""What attention costs: pairs counted on the data, and the model's floating-point operations."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from ..attention.inputs import Annotation
from ..attention.plan import Plan
from ..grammar.grammar import Grammar
from ..grammar.masks import PairCounts, blocked, count_pairs
from ..grammar.rules import Strategy
from ..grammar.tables import ReachTables, compile_layers
from ..grammar.tags import PAD
from ..tagging.collate import Collator

_LENGTHS = (8, 16, 32)


@dataclass(frozen=True)
class ModelShape:
    """The sizes that costs depend on, and forward FLOPs as `per_text + per_token * n + per_pair * n^2`.

    In a `causal` model a token has pairs with those before it only, and with itself.
    """

    layers: int
    heads: int
    per_text: float
    per_token: float
    per_pair: float
    causal: bool = False


def measure_shape(model: PreTrainedModel) -> ModelShape:
    """Count the operations of the stock model at three lengths, and fit the polynomial through them, which is exact.

    Sets the model to eager attention, whose operations the counter sees, so give it one that nothing else uses.
    """
    model.set_attn_implementation("eager")
    model.train(False)
    counts, causal = [], True
    for length in _LENGTHS:
        input_ids = torch.full((1, length), model.config.vocab_size - 1, device=model.device)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            weights = model(input_ids=input_ids, output_attentions=True).attentions
        counts.append(counter.get_total_flops())
        causal = causal and not any(bool(layer.triu(1).any()) for layer in weights)
    per_pair, per_token, per_text = np.polyfit(_LENGTHS, counts, 2)
    return ModelShape(
        layers=model.config.num_hidden_layers,
        heads=model.config.num_attention_heads,
        per_text=float(per_text),
        per_token=float(per_token),
        per_pair=float(per_pair),
        causal=causal,
    )


@dataclass(frozen=True)
class Cost:
    """The cost of one pass over a split: pairs, mean FLOPs a text, and the seconds that planning took."""

    counts: PairCounts
    attention_flops: float
    model_flops: float
    attention_flops_relative: float
    model_flops_relative: float
    planning_seconds: float


def measure_cost(
    dataset: Dataset,
    collator: Collator,
    shape: ModelShape,
    *,
    grammar: Grammar | None,
    strategy: Strategy,
    batch_size: int,
) -> Cost:
    """Plan every batch of a split as the model would, and count the allowed pairs.

    Under full and soft all pairs are allowed that the model allows. FLOPs are those of an attention that computes
    allowed pairs only; the dense path computes all of them.
    """
    counts, planning, texts, tokens = PairCounts(), 0.0, 0, 0
    layer_tables = compile_layers(grammar, layers=shape.layers, heads=shape.heads) if grammar else ()
    for batch in _batches(dataset, collator, batch_size):
        annotation = Annotation(batch["tag_ids"], batch["word_ids"], batch["sentence_ids"])
        real = annotation.tag_ids != PAD
        texts += len(real)
        tokens += int(real.sum())
        readable = real[:, None, :, None] & real[:, None, None, :]
        if strategy == "full":
            counts += _count(readable, annotation, shape)
            continue
        masks, seconds = _plan(annotation, real, strategy, layer_tables)
        planning += seconds
        for mask, times in Counter(masks).items():
            assert mask is not None  # noqa: S101 - only full has none
            found = _count(~blocked(mask) & readable if strategy == "hard" else readable, annotation, shape)
            for _ in range(times):
                counts += found
    pairs = counts.pairs / (shape.heads * (1 if strategy == "full" else shape.layers))
    fixed = shape.per_text * texts + shape.per_token * tokens
    attention, full = shape.per_pair * pairs * counts.density, shape.per_pair * pairs
    return Cost(
        counts=counts,
        attention_flops=attention / texts,
        model_flops=(fixed + attention) / texts,
        attention_flops_relative=attention / full,
        model_flops_relative=(fixed + attention) / (fixed + full),
        planning_seconds=planning,
    )


def measure_planning(
    dataset: Dataset, collator: Collator, shape: ModelShape, *, grammar: Grammar | None, strategy: Strategy,
    batch_size: int, grouped: bool,
) -> float:  # fmt: skip
    """Return the seconds that a pass over a split plans, in batches of texts of about one length where `grouped`.

    Full attention plans nothing, and nothing is counted, which takes longer than planning.
    """
    if grammar is None or strategy == "full":
        return 0.0
    layer_tables, seconds = compile_layers(grammar, layers=shape.layers, heads=shape.heads), 0.0
    if grouped:
        lengths = [len(text) for text in dataset["input_ids"]]
        dataset = dataset.select(np.argsort(lengths, kind="stable"))
    for batch in _batches(dataset, collator, batch_size):
        annotation = Annotation(batch["tag_ids"], batch["word_ids"], batch["sentence_ids"])
        seconds += _plan(annotation, annotation.tag_ids != PAD, strategy, layer_tables)[1]
    return seconds


def _plan(
    annotation: Annotation, real: Tensor, strategy: Strategy, layer_tables: Sequence[tuple[ReachTables, ...]]
) -> tuple[list[Tensor | None], float]:
    """Return the masks of all layers, and the seconds that they took."""
    start = time.perf_counter()
    plan = Plan(annotation, strategy=strategy, layer_tables=layer_tables)
    masks = [plan.mask(layer, real[:, None, None, :], torch.float32) for layer in range(len(layer_tables))]
    return masks, time.perf_counter() - start


def _count(allowed: Tensor, annotation: Annotation, shape: ModelShape) -> PairCounts:
    """Count the pairs of all heads, those that share a mask (batch, 1 or heads, length, length) once."""
    found = count_pairs(allowed, tag_ids=annotation.tag_ids, word_ids=annotation.word_ids, causal=shape.causal)
    return sum((found for _ in range(shape.heads // allowed.shape[1])), PairCounts())


def _batches(dataset: Dataset, collator: Collator, batch_size: int) -> Iterator[Mapping[str, Tensor]]:
    for start in range(0, len(dataset), batch_size):
        yield collator([dataset[index] for index in range(start, min(start + batch_size, len(dataset)))])
