"""Ways of training a model under a grammar, by name."""

from typing import Final, Literal, NamedTuple

from ..grammar.rules import Strategy

Adaptation = Literal["ramp", "learn-layer", "learn-head"]


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
