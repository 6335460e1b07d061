"""Attention without projections: gives peers that are whole layers their queries, keys and values directly."""

from torch import Tensor, nn
from torch.nn import functional as F


class FixedProjection(nn.Module):
    """A stand-in for a projection that ignores its input and returns a fixed tensor.

    `copy` returns a copy each time, for a peer that changes its queries in place; a copy costs next to nothing.
    """

    def __init__(self, tensor: Tensor, *, copy: bool = False) -> None:
        super().__init__()
        self._tensor = tensor
        self._copy = copy

    def forward(self, _: Tensor) -> Tensor:
        """Return the tensor."""
        return self._tensor.clone() if self._copy else self._tensor


def as_states(tensor: Tensor, *, length_first: bool = False, padding: int = 0) -> Tensor:
    """Return (batch, heads, length, head_dim) as a layer's states: a new tensor (batch, length, heads * head_dim).

    `length_first` gives (length, batch, heads * head_dim), `padding` adds that many tokens of zeros. The new tensor
    requires gradients where the old one did.
    """
    padded = F.pad(tensor.detach(), (0, 0, 0, padding))
    batch, heads, length, head_dim = padded.shape
    axes = (2, 0, 1, 3) if length_first else (0, 2, 1, 3)
    rows = (length, batch) if length_first else (batch, length)
    states = padded.permute(axes).reshape(*rows, heads * head_dim).contiguous()
    return states.requires_grad_(tensor.requires_grad)
