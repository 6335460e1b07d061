"""How likely a language model holds sentences for, token by token: by masking each, or by what comes before."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import ModelError

# One annotated sentence, columns of numbers (length,), and the places of the tokens that count.
Features = Mapping[str, Sequence[int]]
Collate = Callable[[list[Any]], Mapping[str, Tensor]]
_Item = TypeVar("_Item")


def masked_scores(
    model: PreTrainedModel, sentences: Sequence[Features], places: Sequence[Sequence[int]], collate: Collate, *,
    mask_id: int, batch_size: int,
) -> list[float]:  # fmt: skip
    """Return the pseudo-log-likelihood of each sentence, in nats: the sum over its places of log p(token | the rest).

    Each token is masked in a copy of its own, and with it what follows of its word, which would tell too much.
    `collate` makes a batch of copies, tensors (copies, length), on any device.
    """
    copies = [(number, place) for number, of_text in enumerate(places) for place in of_text]
    scores = [0.0] * len(sentences)
    for batch in _batches(copies, batch_size):
        inputs = collate([_masked(sentences[number], place, mask_id) for number, place in batch])
        rows = torch.arange(len(batch))
        logits = _logits(model, inputs)[rows, [place for _, place in batch]]
        for (number, place), log_probabilities in zip(batch, logits, strict=True):
            scores[number] += float(log_probabilities[sentences[number]["input_ids"][place]])
    return scores


def causal_scores(
    model: PreTrainedModel, sentences: Sequence[Features], places: Sequence[Sequence[int]], collate: Collate, *,
    batch_size: int,
) -> list[float]:  # fmt: skip
    """Return the log-likelihood of each sentence, in nats: the sum over its places of log p(token | what came before).

    The first token, before which nothing came, never counts. `collate` must pad on the right.
    """
    scores = []
    for batch in _batches(zip(sentences, places, strict=True), batch_size):
        logits = _logits(model, collate([dict(sentence) for sentence, _ in batch]))
        for row, (sentence, of_text) in zip(logits, batch, strict=True):
            ids = sentence["input_ids"]
            scores.append(sum(float(row[place - 1, ids[place]]) for place in of_text if place > 0))
    return scores


def _masked(sentence: Features, place: int, mask_id: int) -> dict[str, Sequence[int]]:
    ids, words = list(sentence["input_ids"]), sentence["word_ids"]
    for later in range(place, len(ids)):
        if words[later] == words[place]:
            ids[later] = mask_id
    return {**sentence, "input_ids": ids}


def _logits(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return log-probabilities (batch, length, vocabulary) on the CPU; raises `ModelError` for NaN or infinity."""
    with torch.inference_mode():
        logits: Tensor = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()}).logits
    if not bool(logits.isfinite().all()):
        raise ModelError(f"{type(model).__name__} answers with NaN or infinity; its config.json or weights are damaged")
    return logits.float().log_softmax(-1).cpu()


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch
