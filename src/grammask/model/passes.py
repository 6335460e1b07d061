"""One forward pass through a guided model: its plan, and which layer is asking."""

from typing import Final

from torch import nn

from ..plan import Plan

# The layers, counted from 0, in which a model calls an attention module: more than one where layers share weights.
LAYERS_ATTRIBUTE: Final[str] = "_grammask_layers"


class ForwardPass:
    """The plan and backend of one forward pass, handed through the model to every attention module."""

    def __init__(self, plan: Plan, backend: str = "auto") -> None:
        self.plan = plan
        self.backend = backend
        self._calls: dict[int, int] = {}

    def enter(self, module: nn.Module, *, heads: int) -> int:
        """Return the layer, counted from 0, in which `module` is being called."""
        layers: tuple[int, ...] = getattr(module, LAYERS_ATTRIBUTE)
        call = self._calls.get(id(module), 0)
        self._calls[id(module)] = call + 1
        return layers[call % len(layers)]


class Probe(ForwardPass):
    """A pass that changes nothing and writes down which modules attend, in order, and with how many heads."""

    def __init__(self) -> None:
        super().__init__(Plan(None, strategy="full", layer_tables=()))
        self.modules: list[nn.Module] = []
        self.heads: set[int] = set()

    def enter(self, module: nn.Module, *, heads: int) -> int:
        """Write down a call and return its number."""
        self.modules.append(module)
        self.heads.add(heads)
        return len(self.modules) - 1
