"""BigBird's block-sparse attention, as transformers has it, at the grammar's density (Zaheer and others 2020)."""

from typing import Any, Final

import torch
from torch import Tensor
from transformers import BigBirdConfig
from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

from ...attention.position_mask import FREE
from ..contender import CannotRunError, Ready
from ..operator_inputs import OperatorInputs, one_pass
from .fixed_projection import FixedProjection, as_states
from .own_pattern import check_heads, check_pattern
from .sdpa import check_memory

_SMALLEST_BLOCK: Final[int] = 8
_NEAR: Final[float] = 0.05
_PAPER: Final[tuple[int, ...]] = (1024, 3072, 4096)  # lengths for which random blocks come from the first 1024 tokens


def bigbird(inputs: OperatorInputs, density: float) -> Ready:
    """BigBird's attention without its projections; transformers' code also makes the n x n weights in each call."""
    check_pattern(inputs, FREE)
    check_heads(inputs)
    batch, heads, length, head_dim = inputs.shape
    block, random = choose_blocks(length, density)
    check_memory(12 * batch * heads * length**2, "its n x n weights")
    config = BigBirdConfig(
        hidden_size=heads * head_dim,
        num_attention_heads=heads,
        block_size=block,
        num_random_blocks=random,
        max_position_embeddings=length,
    )
    make: Any = BigBirdBlockSparseAttention  # has no annotations
    layer = make(config, seed=0).train(inputs.gradient is not None)
    query, key, value = (as_states(tensor) for tensor in (inputs.query, inputs.key, inputs.value))
    layer.query, layer.key, layer.value = FixedProjection(query), FixedProjection(key), FixedProjection(value)
    states = as_states(inputs.query.detach())
    everything = torch.ones(batch, length, dtype=states.dtype)
    blocked, band, rows, keys = BigBirdModel.create_masks_for_block_sparse_attn(everything, block)

    def attention() -> Tensor:
        output: Tensor = layer(
            states, band_mask=band, from_mask=rows, to_mask=keys, from_blocked_mask=blocked, to_blocked_mask=blocked
        )[0]
        return output

    gradient = None if inputs.gradient is None else as_states(inputs.gradient)
    return Ready(
        one_pass(attention, (query, key, value), gradient),
        facts={
            "own_density": block_density(length // block, random),
            "note": f"blocks of {block}, {random} random; makes n x n weights in each call",
        },
    )


def choose_blocks(length: int, density: float) -> tuple[int, int]:
    """Return the block size and number of random blocks whose density comes nearest.

    Of those within a twentieth of `density` the largest blocks are taken, which are the fastest.
    """
    found = []
    for block in range(_SMALLEST_BLOCK, length + 1):
        if length % block == 0:
            blocks = length // block
            most = (blocks - 6) // 2  # from there on BigBird itself falls back to full attention
            if length in _PAPER:
                most = min(most, 1024 // block - 5)
            found += [(block, random) for random in range(1, most + 1)]
    if not found:
        raise CannotRunError(f"{length} tokens are no multiple of a block that is small enough")

    def miss(choice: tuple[int, int]) -> float:
        return abs(block_density(length // choice[0], choice[1]) / density - 1)

    near = [choice for choice in found if miss(choice) <= _NEAR]
    return max(near) if near else min(found, key=miss)


def block_density(blocks: int, random: int) -> float:
    """Return the share of pairs that are computed: two global rows, two rows beside them, and the band."""
    return (2 * blocks + 2 * (4 + random) + (blocks - 4) * (5 + random)) / blocks**2
