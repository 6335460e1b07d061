"""One row on one text: the losses of its tokens, the pairs that are read, and the keys that a cache would keep."""

import time
from datetime import UTC, datetime
from typing import Any

import torch
from transformers import PreTrainedModel

from ...attention.inputs import Annotation
from ...attention.position_mask import PositionMask
from ...model.token_losses import token_losses
from ..kept_keys import ModelHeads, keys_kept
from .pair_counter import PairCounter
from .prepare_texts import PreparedText
from .rows import Row
from .strata import sum_strata


def measure_row(
    model: PreTrainedModel, row: Row, prepared: PreparedText, number: int, counter: PairCounter, *, key_heads: int
) -> dict[str, Any]:
    """Return the record of a row on a text, but for the environment; the model reads as the row does."""
    inputs = dict(prepared.inputs)
    if row.grammar is None:
        inputs = {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}
    elif row.tags is not None:
        inputs["tag_ids"] = torch.from_numpy(row.tags[number])[None]
    start = time.perf_counter()
    found = token_losses(model, inputs, prepared.skipped)
    seconds = time.perf_counter() - start
    counted = prepared.counted
    losses, tokens = sum_strata(
        found[counted[prepared.skipped :]], prepared.text.tags[counted], prepared.distances[counted]
    )
    return {
        "format": 1,
        "row": row.name,
        "text": number,
        "row_sha256": row.sha256,
        "text_sha256": prepared.document.sha256,
        "losses": losses.tolist(),
        "tokens": tokens.tolist(),
        **_costs(row, prepared, number, counter, key_heads),
        "seconds": seconds,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _costs(row: Row, prepared: PreparedText, number: int, counter: PairCounter, key_heads: int) -> dict[str, int]:
    """Return the pairs and the keys of all heads of all layers, and how many of them there could be."""
    length = len(prepared.text)
    costs = {
        "all_pairs": length * (length + 1) // 2 * counter.layers * counter.heads,
        "keys": length * counter.layers * key_heads,
    }
    kept = sum(_keys_kept(row, prepared, number, counter, key_heads))
    if row.grammar is None:
        pairs = sum(_pairs_of(position, length) for position in counter.positions) * counter.heads
    else:
        own = counter if row.tags is None else counter.retagged({number: row.tags[number]})
        pairs = int(own.of_text(row.grammar, number).sum())
    return {**costs, "pairs": pairs, "kept": kept}


def _pairs_of(position: PositionMask, length: int) -> int:
    """Return the pairs that a layer's own mask allows one head."""
    left = length if position.left is None else min(position.left, length)
    return sum(min(place, left) + 1 for place in range(length))


def _keys_kept(row: Row, prepared: PreparedText, number: int, counter: PairCounter, key_heads: int) -> list[int]:
    """Return how many keys of each layer some later token may read."""
    tags = prepared.text.tags if row.tags is None else row.tags[number]
    ids = (torch.from_numpy(ids)[None] for ids in (tags, prepared.text.words, prepared.text.sentences))
    heads = ModelHeads(counter.layers, counter.heads, key_heads, tuple(counter.positions))
    return keys_kept(row.grammar, Annotation(*ids), heads)
