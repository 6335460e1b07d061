"""The oracle: which pairs a grammar allows and how strongly it favours them, as dense tensors.

This is the executable definition of the grammar's meaning. Every faster way to the same attention is compared with
it. Axes are `batch, heads, query, key`; `heads` is 1 when all heads of the layer agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .rules import Reach
from .tables import ReachTables
from .tags import PAD


def allowed_pairs(
    tables: Sequence[ReachTables], *, tag_ids: Tensor, word_ids: Tensor, sentence_ids: Tensor | None = None
) -> Tensor:
    """Return the pairs that the grammar allows: bool (batch, heads, length, length), True means "may read".

    `tag_ids`, `word_ids` and `sentence_ids` are integer tensors (batch, length). A key that is padding is never
    allowed, not even to itself: rows of padding are the caller's to fill.
    """
    length = tag_ids.shape[1]
    allowed = _same(word_ids) | torch.eye(length, dtype=torch.bool, device=tag_ids.device)
    allowed = allowed[:, None] | first_tokens(tag_ids, tables[0].sink_tokens)[:, None, None, :]
    for table in tables:
        by_tag = _look_up(table.allowed, tag_ids)
        within = within_reach(table.reach, word_ids, sentence_ids)
        allowed = allowed | (by_tag if within is None else by_tag & within[:, None])
    return allowed & (tag_ids != PAD)[:, None, None, :]


def first_tokens(tag_ids: Tensor, count: int) -> Tensor:
    """Return which are the first `count` tokens of their text, padding on either side left out: bool as `tag_ids`."""
    real = tag_ids != PAD
    return real & (real.cumsum(1) <= count)


def pair_strengths(
    tables: Sequence[ReachTables], *, tag_ids: Tensor, word_ids: Tensor, sentence_ids: Tensor | None = None
) -> Tensor:
    """Return what the soft strategy adds to each score: float32 (batch, heads, length, length), in logits.

    It is the largest strength of the rules that match a pair, else 0.
    """
    best: Tensor | None = None
    for table in tables:
        strength = _look_up(table.strength, tag_ids)
        within = within_reach(table.reach, word_ids, sentence_ids)
        if within is not None:
            strength = strength.masked_fill(~within[:, None], -torch.inf)
        best = strength if best is None else torch.maximum(best, strength)
    assert best is not None, "compiled tables always hold the document reach"  # noqa: S101
    return best.masked_fill(best.isneginf(), 0.0)


def merge_masks(mask: Tensor, model_mask: Tensor | None) -> Tensor:
    """AND two masks, each bool (True means "may read") or additive; the result is additive if either is.

    An additive mask blocks by -inf or, as transformers writes it, by the lowest number of its dtype. Both are -inf in
    the result: a query that is left nothing to read reads nothing, instead of everything alike.
    """
    if model_mask is None:
        return mask
    if model_mask.dtype != torch.bool:
        model_mask = model_mask.masked_fill(blocked(model_mask), -torch.inf)
    if mask.dtype == torch.bool and model_mask.dtype == torch.bool:
        return mask & model_mask
    if mask.dtype == torch.bool:
        return model_mask.masked_fill(~mask, -torch.inf)
    if model_mask.dtype == torch.bool:
        return mask.masked_fill(~model_mask, -torch.inf)
    return mask + model_mask


def blocked(mask: Tensor) -> Tensor:
    """Return, as bool of the same shape, what a mask blocks; see `merge_masks`."""
    return ~mask if mask.dtype == torch.bool else mask <= torch.finfo(mask.dtype).min


@dataclass(frozen=True)
class PairCounts:
    """Counts of pairs over real tokens: `allowed` of `pairs`, and the same where both tokens belong to words.

    Counts are summed over heads and layers where those differ, so that densities are means over them.
    """

    allowed: int = 0
    pairs: int = 0
    word_allowed: int = 0
    word_pairs: int = 0

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(
            self.allowed + other.allowed,
            self.pairs + other.pairs,
            self.word_allowed + other.word_allowed,
            self.word_pairs + other.word_pairs,
        )

    @property
    def density(self) -> float:
        """Allowed pairs / all pairs over real tokens; 1/density is the ideal speed-up of the attention product."""
        return self.allowed / self.pairs if self.pairs else float("nan")

    @property
    def word_density(self) -> float:
        """The density of pairs whose both tokens belong to words."""
        return self.word_allowed / self.word_pairs if self.word_pairs else float("nan")


def count_pairs(allowed: Tensor, *, tag_ids: Tensor, word_ids: Tensor, causal: bool = False) -> PairCounts:
    """Count the pairs of a mask (batch, heads, length, length) over real tokens; see `PairCounts`.

    `causal` leaves out, everywhere, pairs in which the key comes after the query.
    """
    real, word = tag_ids != PAD, word_ids >= 0
    real_pairs = (real[:, :, None] & real[:, None, :])[:, None]
    word_pairs = (word[:, :, None] & word[:, None, :])[:, None]
    if causal:
        real_pairs, word_pairs = real_pairs.tril(), word_pairs.tril()
    heads = allowed.shape[1]
    return PairCounts(
        allowed=int((allowed & real_pairs).sum()),
        pairs=int(real_pairs.sum()) * heads,
        word_allowed=int((allowed & word_pairs).sum()),
        word_pairs=int(word_pairs.sum()) * heads,
    )


def _look_up(table: Tensor, tag_ids: Tensor) -> Tensor:
    """Index a (heads, tags, tags) table by the tags of every pair: (batch, heads, length, length)."""
    return table[:, tag_ids[:, :, None], tag_ids[:, None, :]].transpose(0, 1)


def within_reach(reach: Reach, word_ids: Tensor, sentence_ids: Tensor | None) -> Tensor | None:
    """Return the pairs within reach: bool (batch, length, length), or None for the document reach, all of them."""
    if reach.kind == "document":
        return None
    if reach.kind == "sentence":
        if sentence_ids is None:
            raise ValueError("a rule has sentence reach, but sentence_ids is None")
        return _same(sentence_ids)
    offset = word_ids[:, None, :] - word_ids[:, :, None]
    word = word_ids >= 0
    return (offset >= reach.lo) & (offset <= reach.hi) & word[:, :, None] & word[:, None, :]


def _same(ids: Tensor) -> Tensor:
    """Return the pairs with the same word or sentence; -1 means none and is the same as nothing."""
    return (ids[:, :, None] == ids[:, None, :]) & (ids >= 0)[:, :, None]
