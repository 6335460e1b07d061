"""What FlexAttention is told of a call's pairs: the tensors that each pair's rules are read from.

What differs between batches and grammars is in tensors. What is None shapes the code, and so does `PairKind`; there are
few such shapes, so that nothing is compiled anew for a batch.
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
    """What the code for a pair hangs on beside its tensors. Bools: PyTorch would take other numbers for variables.

    Hard rules allow what `document` reach does, or only what it doesn't, and then no sinks. `per_head` tells that heads
    have tables of their own.
    """

    document: bool
    per_head: bool


class Compared(NamedTuple):
    """Numbers of the queries and of the keys that pairs compare: int32 (batch, tokens) each."""

    queries: Tensor
    keys: Tensor


class TagBits(NamedTuple):
    """The tags of the queries, those of the keys as bits, and for each query tag the bits of what it may read."""

    queries: Tensor
    keys: Tensor
    document: Tensor


class WordReach(NamedTuple):
    """What a reach of words allows, as `TagBits.document`, and its least and greatest offset (2,)."""

    bits: Tensor
    bounds: Tensor


class Offsets(NamedTuple):
    """The buckets of word offsets between `reach`'s two, as `FlexRules` has them, and sentences where rules ask."""

    words: Compared
    buckets: Tensor
    reach: Tensor
    sentences: Compared | None


class Cells(NamedTuple):
    """A table (heads, cells) in which pairs are looked up: those `of` the tokens and the offset add up to a cell."""

    table: Tensor
    of: Compared
    offsets: Offsets | None


class Places(NamedTuple):
    """The places of the tokens, and how far a key may be before and after its query (2,)."""

    of: Compared
    bounds: Tensor


class PairTensors(NamedTuple):
    """What a pair's rules are read from; None where the rules ask for no such thing.

    `tags` and all down to `sentences` say what hard rules allow, `cells` what soft ones add or hard ones allow. `own`
    and `sinks` are those of `Side`, `key_tags` (batch, keys) tell soft rules what is padding.
    """

    tags: TagBits | None = None
    own: Compared | None = None
    words: Compared | None = None
    word_reaches: tuple[WordReach, ...] = ()
    sentences: Compared | None = None
    sentence_bits: Tensor | None = None
    cells: Cells | None = None
    key_tags: Tensor | None = None
    sinks: Tensor | None = None
    places: Places | None = None


def pair_kind(part: Part, rules: FlexRules, learns: bool) -> PairKind:
    """Return the kind of a call; where it `learns` strengths, their table has a row for each head."""
    return PairKind(part.document, learns or rules.document.shape[0] > 1)


def pair_tensors(
    part: Part, rules: FlexRules, queries: Side, keys: Side, position: PositionMask, learns: bool
) -> PairTensors:
    """Return the tensors of a call; a learned table takes the place of that of its `cells` in each call anew."""
    of_places = Compared(queries.places, keys.places)
    places = None if position.is_free else Places(of_places, _bounds(position, keys.tags.device))
    if part.soft:
        lifts = rules.lifts and not learns
        cells = _cells(rules.strength if lifts else rules.base, rules, queries, keys, by_offset=lifts)
        return PairTensors(cells=cells, key_tags=keys.tags, places=places)
    by_offset = part.bounded and not rules.has_few_reaches
    compared = rules.bounded if part.bounded and not by_offset else ()
    reaches = tuple(WordReach(table.bits, table.bounds) for table in compared if table.reach.kind == "words")
    sentence_bits = next((table.bits for table in compared if table.reach.kind == "sentence"), None)
    return PairTensors(
        tags=TagBits(queries.tags, torch.ones_like(keys.tags) << keys.tags, rules.document_bits),
        own=Compared(queries.own, keys.own) if part.own else None,
        words=Compared(queries.words, keys.words) if reaches else None,
        word_reaches=reaches,
        sentences=None if sentence_bits is None else _sentences(queries, keys),
        sentence_bits=sentence_bits,
        cells=_cells(rules.beyond, rules, queries, keys, by_offset=True) if by_offset else None,
        sinks=keys.sinks if rules.sink_tokens else None,
        places=places,
    )


def _cells(table: Tensor, rules: FlexRules, queries: Side, keys: Side, *, by_offset: bool) -> Cells:
    per_tag = rules.cells_per_tags if by_offset else 1
    of = Compared(queries.tags * (len(TAGS) * per_tag), keys.tags * per_tag)
    if not by_offset:
        return Cells(table, of, None)
    sentences = _sentences(queries, keys) if rules.by_sentence else None
    return Cells(table, of, Offsets(Compared(queries.words, keys.words), rules.buckets, rules.reach, sentences))


def _sentences(queries: Side, keys: Side) -> Compared:
    assert queries.sentences is not None  # noqa: S101 - the rules ask for them
    assert keys.sentences is not None  # noqa: S101
    return Compared(queries.sentences, keys.sentences)


@cache_outside_modes
def _bounds(position: PositionMask, device: torch.device) -> Tensor:
    """Return a mask's bounds on a device: once, since copying numbers to a GPU waits for it."""
    left, right = (_ANY if side is None else side for side in (position.left, position.right))
    return torch.tensor([-left, right], dtype=torch.int32, device=device)
