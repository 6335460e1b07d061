"""One forward pass through a guided model: its plan, which layer is calling, and whether every layer has called."""

from typing import Final

from torch import nn

from ..attention.plan import Plan
from ..errors import ModelError
from .kept_cache import KeptCache

# The layers, counted from 0, in which a model calls an attention module: more than one where layers share weights.
LAYERS_ATTRIBUTE: Final[str] = "_grammask_layers"


class LostGrammarError(ModelError):
    """Attention that a model computes without the grammar of the pass."""


class ForwardPass:
    """The plan and backend of one forward pass, handed through the model to every attention module.

    `cache` is one that lets keys go.
    """

    def __init__(self, plan: Plan, backend: str = "auto", cache: KeptCache | None = None) -> None:
        self.plan = plan
        self.backend = backend
        self.cache = cache
        self._calls: dict[nn.Module, int] = {}

    def enter(self, module: nn.Module, *, heads: int) -> int:
        """Return the layer, counted from 0, in which `module` is called; raises `ModelError` for an unknown module."""
        layers: tuple[int, ...] = getattr(module, LAYERS_ATTRIBUTE, ())
        if not layers:
            raise ModelError(
                f"this {type(module).__name__} wasn't in the model when it got its grammar; after changing layers call "
                "grammask.detach(model) and grammask.attach(model, grammar)"
            )
        planned = self.plan.layer_tables[layers[0]][0].allowed.shape[0] if self.plan.layer_tables else 1
        if planned not in (1, heads):
            raise ModelError(f"{type(module).__name__} has {heads} heads, but its grammar was made for {planned}")
        call = self._calls.get(module, 0)
        self._calls[module] = call + 1
        if call >= len(layers) and self._differ(layers):
            # Layers are recomputed in another order, and a shared module cannot tell which of them it is.
            raise ModelError(
                f"{type(module).__name__} serves {len(layers)} layers whose rules differ, so gradient checkpointing "
                "cannot recompute them under the right ones; switch it off (model.gradient_checkpointing_disable())"
            )
        return layers[call % len(layers)]

    def check_complete(self, layers: int) -> None:
        """Raise `ModelError` unless each of the model's layers has asked exactly once."""
        exact = all(count == len(getattr(module, LAYERS_ATTRIBUTE)) for module, count in self._calls.items())
        asked = sum(self._calls.values())
        if asked != layers or not exact:
            raise ModelError(
                f"the grammar was asked {asked} times by {layers} layers, but each must ask once: some attention went "
                "past the grammar. Was a layer exchanged, or its attention implementation switched, after "
                "grammask.attach? Call grammask.detach(model) first"
            )

    def _differ(self, layers: tuple[int, ...]) -> bool:
        if self.plan.strategy == "full":
            return False
        if self.plan.learned is not None:
            return len(layers) > 1
        return any(self.plan.layer_tables[layer] is not self.plan.layer_tables[layers[0]] for layer in layers)


class Probe(ForwardPass):
    """A pass that changes nothing and records which modules attend, in order, and with how many heads."""

    def __init__(self) -> None:
        super().__init__(Plan(None, strategy="full", layer_tables=()))
        self.modules: list[nn.Module] = []
        self.heads: set[int] = set()

    def enter(self, module: nn.Module, *, heads: int) -> int:
        """Record a call and return its number."""
        self.modules.append(module)
        self.heads.add(heads)
        return len(self.modules) - 1

    def check_complete(self, layers: int) -> None:
        """Do nothing: the survey counts."""
