"""How likely a language model holds sentences for, token by token: by masking each, or by what comes before."""

import math
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
        wanted = [(row, place, sentences[number]["input_ids"][place]) for row, (number, place) in enumerate(batch)]
        for (number, _), score in zip(batch, _log_probabilities(model, inputs, wanted), strict=True):
            scores[number] += score
    return scores


def causal_scores(
    model: PreTrainedModel, sentences: Sequence[Features], places: Sequence[Sequence[int]], collate: Collate, *,
    batch_size: int,
) -> list[float]:  # fmt: skip
    """Return the log-likelihood of each sentence, in nats: the sum over its places of log p(token | what came before).

    The first token, before which nothing came, never counts. `collate` must pad on the right.
    """
    scores = [0.0] * len(sentences)
    for batch in _batches(range(len(sentences)), batch_size):
        inputs = collate([dict(sentences[number]) for number in batch])
        counted = [(row, place) for row, number in enumerate(batch) for place in places[number] if place > 0]
        wanted = [(row, place - 1, sentences[batch[row]]["input_ids"][place]) for row, place in counted]
        for (row, _), score in zip(counted, _log_probabilities(model, inputs, wanted), strict=True):
            scores[batch[row]] += score
    return scores


def _masked(sentence: Features, place: int, mask_id: int) -> dict[str, Sequence[int]]:
    ids, words = list(sentence["input_ids"]), sentence["word_ids"]
    for later in range(place, len(ids)):
        if words[later] == words[place]:
            ids[later] = mask_id
    return {**sentence, "input_ids": ids}


def _log_probabilities(
    model: PreTrainedModel, inputs: Mapping[str, Tensor], wanted: Sequence[tuple[int, int, int]]
) -> list[float]:
    """Return the log-probability of each token that is wanted: its row, the place that predicts it, and its id.

    Raises `ModelError` for a model that answers with NaN or infinity.
    """
    rows, places, tokens = torch.tensor(wanted, device=model.device).reshape(-1, 3).T
    with torch.inference_mode():
        logits = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()}).logits[rows, places]
        found: list[float] = logits.float().log_softmax(-1).gather(-1, tokens[:, None])[:, 0].tolist()
    if not all(map(math.isfinite, found)):
        raise ModelError(f"{type(model).__name__} answers with NaN or infinity; its config.json or weights are damaged")
    return found


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch
