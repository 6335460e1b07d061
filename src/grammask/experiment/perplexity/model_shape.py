"""The sizes of a causal model that pairs and caches are counted by, found by attaching each grammar once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from ...errors import ModelError
from ...grammar.grammar import Grammar
from ...model.attach import attached
from ..kept_keys import ModelHeads, heads_of


@dataclass(frozen=True)
class CausalShape(ModelHeads):
    """The heads of a causal model, what it is called and how many parameters it has."""

    model_type: str
    parameters: int

    def facts(self) -> dict[str, Any]:
        """Return the sizes as results tell them."""
        windows = sorted({position.left for position in self.positions if position.left is not None})
        return {
            "model_type": self.model_type, "parameters": self.parameters, "layers": self.layers, "heads": self.heads,
            "key_heads": self.key_heads, "windows": windows,
        }  # fmt: skip


def find_shape(model: PreTrainedModel, grammars: Sequence[Grammar]) -> CausalShape:
    """Return the sizes of a model; raises what attaching a grammar raises, and `ModelError` for no causal model."""
    for grammar in grammars:
        with attached(model, grammar):
            pass
    config: Any = model.config
    if not getattr(model, "can_generate", lambda: False)():
        raise ModelError(f"{type(model).__name__} is no causal language model; name one, such as smollm2")
    heads = vars(heads_of(model))
    return CausalShape(**heads, model_type=config.model_type, parameters=model.num_parameters())
