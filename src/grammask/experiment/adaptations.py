"""Ways of training a model under a grammar, by name, and which weights of its attention training begins with."""

from typing import Final, Literal, NamedTuple

from ..grammar.rules import Strategy

Adaptation = Literal["ramp", "learn-layer", "learn-head"]
Attention = Literal["kept", "fresh", "as-paper"]
Weights = Literal["fresh"]  # of a run's attention; None for those that the model brings
FRESH: Final[str] = "query, key and value weights are drawn anew before training"


class Way(NamedTuple):
    """The strategy that a way of training belongs to, what it does, and which strengths `attach` learns."""

    strategy: Strategy
    description: str
    learn_strengths: Literal["layer", "head"] | None = None


ADAPTATIONS: Final[dict[Adaptation, Way]] = {
    "ramp": Way("hard", "blocked pairs get a penalty that grows over the first half of training, then are blocked"),
    "learn-layer": Way("soft", "strengths are learned, a tag x tag table for each layer", learn_strengths="layer"),
    "learn-head": Way("soft", "strengths are learned, a tag x tag table for each head", learn_strengths="head"),
}


def weights_of(attention: Attention, strategy: str) -> Weights | None:
    """Return the weights that a run of this strategy begins with: "as-paper" leaves full attention its own."""
    return None if attention == "kept" or (attention == "as-paper" and strategy == "full") else "fresh"
