"""What a model that read a context says next: whether it would have gone on as the text does, and its loss."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Cache, PreTrainedModel

from ...model.cached_call import cache_argument
from .passages import Passage, join_passages


@dataclass(frozen=True, eq=False)
class Scores:
    """The last tokens of a passage, each after what stands before it: tensors (tokens,).

    `right` says where the likeliest token is the text's. Where all are, greedy decoding writes the same: each of its
    tokens stands behind right ones.
    """

    right: Tensor
    losses: Tensor


class ReadContext(Protocol):
    """A context as a method keeps it; `share` of its keys are kept, a mean over layers and key-value heads."""

    @property
    def share(self) -> float:
        """The share of the context's keys that are kept."""

    def read_on(self, passage: Passage, scored: int) -> Scores:
        """Score the last tokens of a passage that follows the context; the context stays as it was."""


@dataclass(frozen=True, eq=False)
class CachedContext:
    """A context in a key-value cache; a model that is `guided` gets the annotation of the whole text."""

    model: PreTrainedModel
    context: Passage
    cache: Cache
    share: float
    guided: bool = False

    def read_on(self, passage: Passage, scored: int) -> Scores:
        """Score the last tokens of a passage, from a copy of the cache."""
        known = passage.until(len(passage) - 1)
        first, device = len(self.context), self.model.device
        annotation = {}
        if self.guided:
            whole = join_passages(self.context, known).on(device)
            annotation = {name: ids for name, ids in whole.items() if name != "input_ids"}
        with torch.no_grad():
            logits = self.model(
                input_ids=known.on(device)["input_ids"],
                **{cache_argument(self.model): deepcopy(self.cache)},
                position_ids=torch.arange(first, first + len(known), device=device)[None],
                use_cache=True,
                logits_to_keep=scored,
                **annotation,
            ).logits
        return score_logits(logits[0], passage.inputs["input_ids"][0, -scored:])


def score_logits(logits: Tensor, tokens: Tensor) -> Scores:
    """Compare logits (tokens, vocabulary) with the tokens that they are to predict (tokens,); scores are on the CPU."""
    losses = F.cross_entropy(logits.float(), tokens.to(logits.device), reduction="none")
    return Scores(logits.argmax(-1).cpu() == tokens, losses.cpu())
