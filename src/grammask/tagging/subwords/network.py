"""The network: a table of subwords, and layers that each look a few subwords to both sides."""

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...grammar.tags import UPOS
from .pieces import CUES

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
        return self.answers(_read(found * there, self.steps[0], *self.reads[0].parameters()), there)

    def answers(self, read: Tensor, there: Tensor) -> Tensor:
        """Return the answers from what the first layer read, before its ReLU; `there` (length, 1) is 1 where real."""
        found = self.drop(read.relu_())
        for step, layer in zip(self.steps[1:], self.reads[1:], strict=True):
            found = found + self.drop(_read(found * there, step, *layer.parameters()).relu_())
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
        layers = self.layers
        margin, reach = layers.steps[0], layers.reach
        places = torch.arange(len(ids), device=ids.device) + max(layers.steps) * texts
        size = int(places[-1]) + 1 if len(ids) else 0
        (of_left, of_here, of_right), kinds = self._first_layer(ids, cues)
        row = torch.full((size + 2 * margin,), len(of_here) - 1, device=ids.device)
        row[places + margin] = kinds
        there = torch.zeros(size, 1, dtype=of_here.dtype, device=ids.device)
        there[places] = 1
        found = [self.cues.weight.new_zeros(0, OUTPUTS)]
        length = _WINDOW if ids.device.type == "cpu" else _LARGE_WINDOW
        for start in range(0, size, length):
            first = max(start - reach, 0)
            real = there[first : start + length + reach]
            left, here, right = (row.narrow(0, first + by, len(real)) for by in (0, margin, 2 * margin))
            read = of_here[here].add_(of_left[left]).add_(of_right[right])
            found.append(layers.answers(read, real)[start - first :][:length])
        return torch.cat(found)[places]

    def _first_layer(self, ids: Tensor, cues: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return what the first layer reads of each kind of subword on the left, here and right, and each one's kind.

        It is linear, so it is computed once for all subwords with the same id and cue. The last kind stands for places
        without a subword. (kinds, width) each.
        """
        kinds, kind_of = torch.unique(ids * CUES + cues, return_inverse=True)
        found = self.pieces(kinds.div(CUES, rounding_mode="floor")) + self.cues(kinds % CUES)
        weight, bias = self.layers.reads[0].parameters()
        tables = [F.pad(found @ part, (0, 0, 0, 1)) for part in torch.split(weight.t(), found.shape[1])]
        tables[1] += bias
        return tables, kind_of
