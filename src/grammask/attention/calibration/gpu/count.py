"""Counting FlexAttention's work: for a choice, on a made-up text, since reading a number from a GPU waits for it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from torch import Tensor

from ....grammar.caching import cache_outside_modes
from ....grammar.rules import Strategy
from ....grammar.tables import ReachTables
from ...backends import Reaches
from ...flex.calls import FlexCall, FlexCalls
from ...flex.side import BLOCK
from ...position_mask import PositionMask
from ..count import Shape
from ..made_up import made_up_annotation
from .parts import FlexParts, FlexPlanParts

_LONGEST: Final[int] = 1 << 14  # tokens of a text that is counted; of longer ones the same share is taken
_STEPS: Final[int] = 8  # lengths that are counted between one power of 2 and the next


class CountedCall(NamedTuple):
    """One call: the share of all pairs in its `masked` and `full` blocks, the cells of its map of blocks, and its kind.

    Shares and cells are means over texts, the shares over heads too.
    """

    masked: float
    full: float
    cells: int
    looks_up: bool
    is_soft: bool
    orders_queries: bool
    orders_keys: bool


def count_call(call: FlexCall) -> CountedCall:
    """Count a call. It reads numbers from the call's device."""
    blocks, tensors = call.blocks, call.tensors
    return CountedCall(
        masked=_share(blocks.kv_num_blocks, blocks.kv_indices),
        full=_share(blocks.full_kv_num_blocks, blocks.kv_indices),
        cells=blocks.kv_indices.shape[1:].numel(),
        looks_up=tensors.cells is not None,
        is_soft=tensors.tags is None,
        orders_queries=call.rows is not None,
        orders_keys=call.keys is not None,
    )


def _share(counts: Tensor, indices: Tensor) -> float:
    return float(counts.sum()) / indices.numel()


def typical_calls(
    tables: tuple[ReachTables, ...], reaches: Reaches, strategy: Strategy, position: PositionMask, shape: Shape
) -> tuple[CountedCall, ...]:
    """Count a layer's calls for texts as long as the batch, tagged about as English is: once for each kind of call.

    What the tags of the batch really are changes what a call costs, never what it computes.
    """
    length = counted_length(shape.length)
    rows = min(length, max(1, round(shape.rows * length / shape.length)))
    return _typical(tables, reaches, strategy, position, length, rows)


def counted_length(length: int) -> int:
    """Return the length of the text that is counted for texts of a length."""
    step = max(BLOCK, (1 << (length - 1).bit_length()) // (2 * _STEPS))
    return min(-(-length // step) * step, _LONGEST)


@cache_outside_modes
def _typical(
    tables: tuple[ReachTables, ...], reaches: Reaches, strategy: Strategy, position: PositionMask, length: int,
    rows: int,
) -> tuple[CountedCall, ...]:  # fmt: skip
    calls = FlexCalls(made_up_annotation(length), strategy, None).of(tables, reaches, position, rows)
    return tuple(map(count_call, calls))


def flex_parts(calls: Sequence[CountedCall], shape: Shape) -> FlexParts:
    """Count the parts of a layer's calls for a batch."""
    out = shape.batch * shape.heads * shape.rows * shape.head_dim
    kept = 2 * shape.batch * shape.key_heads * shape.length * shape.head_dim  # of keys and values
    tiles = -(-shape.rows // BLOCK) * -(-shape.length // BLOCK)
    pairs = shape.batch * shape.heads * tiles * BLOCK**2
    scores = pairs * sum(call.masked + call.full for call in calls)
    return FlexParts(
        calls=len(calls),
        copied=sum(2 * out * call.orders_queries + kept * call.orders_keys for call in calls),
        products=scores * shape.head_dim,
        scores=scores,
        masked=pairs * sum(call.masked for call in calls),
        looked_up=pairs * sum(call.masked + call.full * call.is_soft for call in calls if call.looks_up),
        merged=out * (len(calls) - 1),
        numbers_out=out * len(calls),
    )


def flex_plan_parts(calls: Sequence[CountedCall], shape: Shape) -> FlexPlanParts:
    """Count the making of a layer's calls for a batch."""
    tokens = shape.batch * (shape.rows + shape.length) * len(calls)
    return FlexPlanParts(calls=len(calls), tokens=tokens, blocks=shape.batch * sum(call.cells for call in calls))
