"""The parts of work that FlexAttention's calls, and the making of their block masks, consist of on a GPU."""

from dataclasses import dataclass

from ..parts import Amount, Parts


@dataclass(frozen=True)
class FlexParts(Parts):
    """The calls of one layer.

    Counted are: `calls`; `copied`, numbers that are put into another order; `products`, pairs of a query and a key in
    blocks that aren't left out x heads x head_dim; `scores`, these pairs x heads; `masked`, those of them in blocks
    that are masked pair by pair; `looked_up`, those whose score is read from a table; `merged`, numbers merged by
    log-sum-exp; `numbers_out`, those of the calls' outputs.
    """

    calls: Amount
    copied: Amount
    products: Amount
    scores: Amount
    masked: Amount
    looked_up: Amount
    merged: Amount
    numbers_out: Amount


@dataclass(frozen=True)
class FlexPlanParts(Parts):
    """The making of a layer's `calls`: the `tokens` of each, and the `blocks` of all heads that differ."""

    calls: Amount
    tokens: Amount
    blocks: Amount
