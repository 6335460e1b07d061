"""The network: a table of subwords, and layers that each look a few subwords to both sides."""

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...grammar.tags import UPOS

OUTPUTS: Final[int] = len(UPOS) + 1  # a number for each tag, and one that is above 0 where a word begins
_WINDOW: Final[int] = 1024  # subwords that a processor reads at once, so that they stay in its cache
_LARGE_WINDOW: Final[int] = 1 << 18  # that another device does


class TagLayers(nn.Module):
    """Layers over a row of subwords (length, inside): each reads what stands as many places away as `steps` say.

    What isn't `real` (length,), as the place between two texts, is read as zeros in every layer.
    """

    def __init__(self, inside: int, width: int, steps: tuple[int, ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.steps = steps
        sizes = [inside, *[width] * len(steps)]
        self.reads = nn.ModuleList(nn.Linear(3 * size, there) for size, there in pairwise(sizes))
        self.drop = nn.Dropout(dropout)
        self.answer = nn.Linear(width, OUTPUTS)

    @property
    def reach(self) -> int:
        """How many subwords to each side an answer hangs on."""
        return sum(self.steps)

    def forward(self, found: Tensor, real: Tensor) -> Tensor:
        """Return the answers (length, OUTPUTS)."""
        there = real.unsqueeze(-1).to(found.dtype)
        for number, (step, read) in enumerate(zip(self.steps, self.reads, strict=True)):
            new = self.drop(_read(found * there, step, *read.parameters()).relu_())
            found = found + new if number else new
        answers: Tensor = self.answer(found)
        return answers


def _read(found: Tensor, step: int, weight: Tensor, bias: Tensor) -> Tensor:
    """Read each place with those `step` places to the left and right; that needs no copy of three beside each other."""
    padded = F.pad(found, (0, 0, step, step))
    left, here, right = (padded.narrow(0, start, len(found)) for start in (0, step, 2 * step))
    of_left, of_here, of_right = torch.split(weight.t(), found.shape[1])
    return torch.addmm(bias, left, of_left).addmm_(here, of_here).addmm_(right, of_right)


class TagNetwork(nn.Module):
    """From ids of subwords and cues (length,) to answers (length, OUTPUTS)."""

    def __init__(self, pieces: Tensor, cues: Tensor, layers: TagLayers) -> None:
        super().__init__()
        self.pieces = nn.Embedding(pieces.shape[0], pieces.shape[1], _weight=pieces)
        self.cues = nn.Embedding(cues.shape[0], cues.shape[1], _weight=cues)
        self.layers = layers

    def forward(self, ids: Tensor, cues: Tensor, real: Tensor) -> Tensor:
        """Return the answers to one row; see `TagLayers`."""
        answers: Tensor = self.layers(self.pieces(ids) + self.cues(cues), real)
        return answers

    @torch.inference_mode()
    def read_texts(self, ids: Tensor, cues: Tensor, texts: Tensor) -> Tensor:
        """Return the answers to the subwords of several texts; `texts` (length,) counts them.

        Rows of any length are read in windows. No answer hangs on where they lie, since each sees `reach` beyond.
        """
        places = torch.arange(len(ids), device=ids.device) + max(self.layers.steps) * texts
        size, reach = int(places[-1]) + 1 if len(ids) else 0, self.layers.reach
        row = torch.zeros(3, size, dtype=torch.long, device=ids.device)
        row[:, places] = torch.stack([ids, cues, torch.ones_like(ids)])
        found = [self.cues.weight.new_zeros(0, OUTPUTS)]
        length = _WINDOW if ids.device.type == "cpu" else _LARGE_WINDOW
        for start in range(0, size, length):
            first = max(start - reach, 0)
            window = row[:, first : start + length + reach]
            answers = self(window[0], window[1], window[2] > 0)
            found.append(answers[start - first :][:length])
        return torch.cat(found)[places]
