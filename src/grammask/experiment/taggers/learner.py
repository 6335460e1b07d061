"""The network while it is taught: its table of subwords is made of spelling, a model's vectors, and its own numbers."""

import torch
from torch import Tensor, nn

from ...tagging.subwords.network import TagLayers, TagNetwork
from ...tagging.subwords.pieces import CUES
from .spelling import PARTS


class Learner(nn.Module):
    """Teaches a `TagNetwork`, which `learnt` returns.

    `spelling` (vocabulary, parts) is of `spelling_table`, `vectors` (vocabulary, size) what a model knows of subwords.
    In training the subword itself is forgotten with probability `forget`, and only its spelling is left, as of one that
    was never seen.
    """

    def __init__(self, spelling: Tensor, vectors: Tensor | None, layers: TagLayers, inside: int, forget: float) -> None:
        super().__init__()
        self.spelling: Tensor
        self.vectors: Tensor | None
        self.register_buffer("spelling", spelling)
        self.register_buffer("vectors", None if vectors is None else (vectors - vectors.mean(0)) / vectors.std())
        self.forget = forget
        self.parts = nn.EmbeddingBag(PARTS, inside, mode="sum")
        self.own = nn.Embedding(len(spelling), inside)
        self.cues = nn.Embedding(CUES, inside)
        self.known = None if vectors is None else nn.Linear(vectors.shape[1], inside, bias=False)
        for table, spread in ((self.parts, 0.1), (self.own, 0.02), (self.cues, 0.3)):
            nn.init.normal_(table.weight, std=spread)
        self.layers = layers

    def forward(self, ids: Tensor, cues: Tensor, real: Tensor) -> Tensor:
        """Return the answers, as `TagNetwork` does, to the subwords of one row (length,)."""
        of_subwords = self._of_subwords(ids)
        if self.training:
            of_subwords = of_subwords * (torch.rand(len(ids), 1, device=ids.device) >= self.forget)
        found = self.parts(self.spelling[ids]) + of_subwords + self.cues(cues)
        answers: Tensor = self.layers(found, real)
        return answers

    def _of_subwords(self, ids: Tensor) -> Tensor:
        own: Tensor = self.own(ids)
        return own if self.known is None or self.vectors is None else own + self.known(self.vectors[ids])

    @torch.no_grad()
    def learnt(self) -> TagNetwork:
        """Return the network that was taught, with one table for all that was learnt of a subword."""
        everything = torch.arange(len(self.spelling), device=self.spelling.device)
        pieces = self.parts(self.spelling) + self._of_subwords(everything)
        return TagNetwork(pieces.detach(), self.cues.weight.detach(), self.layers)
