"""What a control is: a function under its name and description, which changes the grammar, the tags, or the masks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...grammar.grammar import Grammar

if TYPE_CHECKING:  # needs torch, without which the names must be known
    from ...attention.mask_maker import MaskTransform

# Gives a text's new tag ids; the text is named by its number, so that its draw is the same in every run of a seed.
Retag = Callable[[Mapping[str, Sequence[int]], int], list[int]]


@dataclass(frozen=True)
class GrammarInputs:
    """What a control makes its grammar from.

    `bare` has the name that the new grammar is to have, the sinks and sink tokens of the given `grammar`, and of its
    rules those of structural tokens only. `training` holds the tag ids of each text's words.
    """

    grammar: Grammar
    bare: Grammar
    training: Sequence[NDArray[np.int32]]
    layers: int
    heads: int
    seed: int


@dataclass(frozen=True)
class TagInputs:
    """What a control changes tags by: the training texts, a seed, and the share of words of a control that has one."""

    training: Iterable[Mapping[str, Any]]
    seed: int
    share: float


@dataclass(frozen=True)
class Control:
    """A control by its name, and what it keeps and breaks. `share` is the number in a name that ends in one."""

    name: str
    description: str
    share: float = field(default=0.0, kw_only=True)


@dataclass(frozen=True)
class GrammarControl(Control):
    """Another grammar instead of the given one."""

    make: Callable[[GrammarInputs], Grammar]


@dataclass(frozen=True)
class TagControl(Control):
    """Other tags under the given grammar."""

    make: Callable[[TagInputs], Retag]


@dataclass(frozen=True)
class MaskControl(Control):
    """Other masks instead of the grammar's, drawn by a seed."""

    make: Callable[[int], "MaskTransform"]


Function = TypeVar("Function", bound=Callable[..., object])

CONTROLS: Final[dict[str, Control]] = {}


def control(
    kind: Callable[[str, str, Function], Control], name: str, description: str
) -> Callable[[Function], Function]:
    """Register a function as a control.

    A name that ends in -N stands for all shares of N %, 1 to 100, and the N of its description for the number.
    """

    def register(function: Function) -> Function:
        CONTROLS[name] = kind(name, description, function)
        return function

    return register
