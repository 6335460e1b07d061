"""Settings that several configurations share: what chooses their rows, and their models and devices."""

from typing import Annotated

from pydantic import AfterValidator, Field

from ..environment import Device
from ..grammar.rules import STRATEGIES, check_strategy
from .controls.registry import CONTROLS, find_control
from .scratch_shape import read_shape


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _no_grammar_twice(grammars: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(grammars)) < len(grammars):
        raise ValueError("each grammar may be named once")
    return grammars


def _of_a_size(model: str) -> str:
    read_shape(model)
    return model


ControlName = Annotated[str, AfterValidator(lambda name: find_control(name).name)]

Grammars = Annotated[
    tuple[str, ...],
    AfterValidator(_no_grammar_twice),
    Field(description="A shipped name or a file; NAME:hard or NAME:soft runs one strategy only."),
]
Strategies = Annotated[
    tuple[Annotated[str, AfterValidator(check_strategy)], ...],
    Field(min_length=1, description=f"Kinds of attention: {', '.join(STRATEGIES)}."),
    AfterValidator(_each_once),
]
Controls = Annotated[
    tuple[ControlName, ...],
    AfterValidator(_each_once),
    Field(description=f"Controls of hard grammars: {', '.join(CONTROLS)}. NAME:controls is for one grammar only."),
]
ModelDevice = Annotated[Device, Field(description="Where the model runs, always in float32.")]
# A model that is loaded, or one from nothing, whose sizes a machine can train.
TrainedModel = Annotated[str, AfterValidator(_of_a_size)]
