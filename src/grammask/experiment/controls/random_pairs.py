"""The random control: each token reads as many other words as the grammar lets it, drawn at random.

What a token reads of its own word and of structural tokens is kept: only the choice of other words is random. Sink
tokens that belong to words are words here.
"""

import zlib
from typing import TYPE_CHECKING

from ...grammar.tags import PAD
from .control import MaskControl, control

if TYPE_CHECKING:  # torch takes seconds to import, and the names of controls must be known without it
    import torch
    from torch import Tensor

    from ...attention.inputs import Annotation


@control(MaskControl, "random", "every token reads as many other words as the grammar lets it, drawn at random")
class RandomPairs:
    """Draws the rows of masks at random; the draw depends on the seed, the text, and how many masks came before."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, allowed: "Tensor", annotation: "Annotation", number: int) -> "Tensor":
        """Return a mask (batch, heads, length, length) with as many allowed keys in every row."""
        import torch

        words = annotation.word_ids
        of_words = (words[:, :, None] >= 0) & (words[:, None, :] >= 0)
        others = (of_words & (words[:, :, None] != words[:, None, :]))[:, None]
        counts = (allowed & others).sum(-1, keepdim=True)
        # Drawn on the CPU, so that a seed draws the same on every device.
        texts = zip(annotation.tag_ids.cpu(), words.cpu(), strict=True)
        noise = torch.stack([self._noise(tags, text, allowed.shape, number) for tags, text in texts])
        noise = noise.to(allowed.device).masked_fill(~others, 2.0)
        last = noise.sort(-1).values.gather(-1, (counts - 1).clamp(min=0))
        return (allowed & ~others) | (others & (noise <= last) & (counts > 0))

    def _noise(self, tags: "Tensor", words: "Tensor", shape: "torch.Size", number: int) -> "Tensor":
        import torch

        real = (tags != PAD).nonzero()[:, 0]  # padding must not change the draw
        text = zlib.crc32(tags[real].numpy().tobytes() + words[real].numpy().tobytes())
        generator = torch.Generator().manual_seed(hash((self._seed, text, number)))
        noise = torch.zeros(shape[1:])
        noise[:, real[:, None], real] = torch.rand(shape[1], len(real), len(real), generator=generator)
        return noise
