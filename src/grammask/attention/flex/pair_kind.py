"""What FlexAttention is told of a call's pairs: the kind of code that it takes, and the tensors that this looks up.

What differs between batches and grammars is in tensors. What shapes the code is in `PairKind`, of which there are few,
so that nothing is compiled anew for a batch.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from ...grammar.caching import cache_outside_modes
from ...grammar.tags import TAGS
from ..position_mask import PositionMask
from .part import Part
from .rule_tables import FlexRules
from .side import Side

_ANY: Final[int] = 1 << 29  # tokens to a side that nothing bounds


class PairKind(NamedTuple):
    """What the code for a pair hangs on.

    It `adds` to scores, or else masks; it compares word offsets, sentences, a token's `own` word, places. It
    `reads_sinks`, or `leaves_sinks` to another call. `per_head` tells that heads have tables of their own. All are
    bools: PyTorch's compiler would take other numbers for variables.
    """

    adds: bool
    by_distance: bool
    by_sentence: bool
    own: bool
    reads_sinks: bool
    leaves_sinks: bool
    by_place: bool
    per_head: bool


class PairTensors(NamedTuple):
    """What it looks up. `cells` (heads, cells) says what is read, or what is added; the rest is named as in `Side`.

    `query_cells` and `key_cells` (batch, tokens) add up to a pair's cell, but for its distance. `bounds` (2,) is how
    far a key may be before and after its query, `buckets` and `reach` are those of `FlexRules`.
    """

    cells: Tensor
    query_cells: Tensor
    key_cells: Tensor
    query_own: Tensor
    key_own: Tensor
    query_words: Tensor
    key_words: Tensor
    query_sentences: Tensor | None
    key_sentences: Tensor | None
    query_places: Tensor
    key_places: Tensor
    key_tags: Tensor
    sinks: Tensor
    buckets: Tensor
    reach: Tensor
    bounds: Tensor


def pair_kind(part: Part, rules: FlexRules, position: PositionMask, learned_heads: int) -> PairKind:
    """Return the kind of a call; `learned_heads` is how many a learned table has, 0 where there is none."""
    by_distance = part.bounded or (part.soft and rules.lifts and not learned_heads)
    return PairKind(
        adds=part.soft,
        by_distance=by_distance,
        by_sentence=by_distance and rules.by_sentence,
        own=part.own,
        reads_sinks=rules.sink_tokens > 0 and part.document,
        leaves_sinks=rules.sink_tokens > 0 and part.bounded and not part.document,
        by_place=not position.is_free,
        per_head=(learned_heads or rules.document.shape[0]) > 1,
    )


def pair_tensors(
    kind: PairKind, part: Part, rules: FlexRules, queries: Side, keys: Side, position: PositionMask
) -> PairTensors:
    """Return the tensors of a call; a learned table takes the place of its `cells` in each call anew."""
    per_tag = rules.cells_per_tags if kind.by_distance else 1
    return PairTensors(
        cells=_cells(kind, part, rules),
        query_cells=queries.tags * (len(TAGS) * per_tag),
        key_cells=keys.tags * per_tag,
        query_own=queries.own,
        key_own=keys.own,
        query_words=queries.words,
        key_words=keys.words,
        query_sentences=queries.sentences,
        key_sentences=keys.sentences,
        query_places=queries.places,
        key_places=keys.places,
        key_tags=keys.tags,
        sinks=keys.sinks,
        buckets=rules.buckets,
        reach=rules.reach,
        bounds=_bounds(position, keys.tags.device),
    )


def _cells(kind: PairKind, part: Part, rules: FlexRules) -> Tensor:
    if kind.adds:
        return rules.strength if kind.by_distance else rules.base
    if part.bounded:
        return rules.allowed if part.document else rules.beyond
    return rules.document.flatten(1)


@cache_outside_modes
def _bounds(position: PositionMask, device: torch.device) -> Tensor:
    """Return a mask's bounds on a device: once, since copying numbers to a GPU waits for it."""
    left, right = (_ANY if side is None else side for side in (position.left, position.right))
    return torch.tensor([-left, right], dtype=torch.int32, device=device)
