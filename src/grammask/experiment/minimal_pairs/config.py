"""The settings of `grammask pairs`."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ...data.minimal_pairs import PHENOMENA
from ...environment import LARGEST_SEED
from ...errors import setting_error
from ...grammar.rules import STRATEGIES
from ...printing import quoted
from ...tagging.load_tagger import TAGGER_HELP
from ...tagging.spacy_tagger import DEFAULT_PIPELINE
from ..row_settings import Controls, Grammars, ModelDevice, Strategies
from ..scratch_shape import read_shape

_NAMES: Final[tuple[str, ...]] = tuple(PHENOMENA)


class PairsConfig(BaseModel):
    """The settings of one measurement. `make_pairs_config` builds one and raises errors of this package.

    Grammars, strategies and controls choose the rows as `Config` of a comparison does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        default="smollm2",
        description="smollm2 (packaged), a folder such as pretrain makes, or a Hub model: one that predicts masked or "
        "next words.",
    )
    grammars: Grammars = ()
    strategies: Strategies = STRATEGIES
    controls: Controls = ()
    phenomena: tuple[str, ...] = Field(default=_NAMES, min_length=1, description=f"Any of {', '.join(_NAMES)}.")
    count: int = Field(default=200, ge=2, le=100_000, description="Pairs of each phenomenon.")
    batch_size: int = Field(default=32, ge=1, le=65_536, description="Sentences in a batch.")
    tagger: str = Field(default=DEFAULT_PIPELINE, description=TAGGER_HELP)
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="Seed of the pairs, and of what controls draw.")
    device: ModelDevice = "cpu"

    @field_validator("model")
    @classmethod
    def _with_weights(cls, model: str) -> str:
        if read_shape(model) is not None:
            raise ValueError("a model from nothing knows no language; train it first with grammask pretrain")
        return model

    @field_validator("phenomena")
    @classmethod
    def _known(cls, phenomena: tuple[str, ...]) -> tuple[str, ...]:
        for name in phenomena:
            if name not in PHENOMENA:
                raise ValueError(f"no phenomenon is called {quoted(name)}; phenomena are {', '.join(PHENOMENA)}")
        return tuple(dict.fromkeys(phenomena))


def make_pairs_config(**settings: Any) -> PairsConfig:
    """Build a `PairsConfig`; raises `ExperimentError` naming the setting, its value and what it must be."""
    try:
        return PairsConfig.model_validate(settings)
    except ValidationError as error:
        raise setting_error(error) from error
