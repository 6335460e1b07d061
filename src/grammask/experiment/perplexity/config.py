"""The settings of a perplexity run: everything that its numbers depend on, checked when they are made."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ...environment import LARGEST_SEED
from ...errors import ExperimentError, setting_error
from ...printing import quoted
from ...tagging.load_tagger import TAGGER_HELP
from ...tagging.spacy_tagger import DEFAULT_PIPELINE
from ..recall.recall_settings import PEERS, RecallSettings, check_peers, fitting_distances
from ..row_settings import ModelDevice

BUILT_IN: Final[str] = "chronicles"
CONTROL_NAMES: Final[tuple[str, ...]] = (
    "longer-window", "split-heads", "shuffled-tags", "random-keys", "rarest", "separators",
)  # fmt: skip
# Settings that choose the rows. All others are the same for all rows of a folder.
CHOICES: Final[tuple[str, ...]] = ("grammars", "controls", "recall", "distances", "peers")
_MOST: Final[int] = 1_000_000


class PerplexityConfig(BaseModel):
    """The settings of one run. `make_perplexity_config` builds one and raises errors of this package.

    A grammar is a shipped name or a path. With `:controls` after one, only grammars with it have controls.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(default="smollm2", description="smollm2 (packaged), a local folder, or a Hub model.")
    text: str | None = Field(
        default=None, description="A UTF-8 text file, or a folder of them: each file is one document."
    )
    limit: int | None = Field(default=None, ge=1, le=_MOST, description="Texts at most, the first by name.")
    length: int = Field(default=1792, ge=2, le=_MOST, description="Tokens of each text that are read, at most.")
    skip: int = Field(
        default=512,
        ge=1,
        le=_MOST,
        description="Tokens at the beginning of each text that don't count; at most half of a text.",
    )
    near: int = Field(
        default=256, ge=1, le=_MOST, description="Words back up to which the same word counts as within the window."
    )
    grammars: tuple[str, ...] = Field(
        default=("streaming", "names-far:controls"),
        description="Shipped names or files; NAME:controls limits the controls to it.",
    )
    controls: tuple[str, ...] = Field(
        default=CONTROL_NAMES, description=f"Controls of equal pairs: {', '.join(CONTROL_NAMES)}."
    )
    recall: bool = Field(
        default=False, description="Also measure how facts are copied that stand far back, and peers at equal cache."
    )
    distances: tuple[int, ...] = Field(
        default=(), description="Tokens from the facts of --recall to the questions about them."
    )
    peers: tuple[str, ...] = Field(default=(), description=f"Peers of --recall: {', '.join(PEERS)}.")
    tagger: str = Field(default=DEFAULT_PIPELINE, description=TAGGER_HELP)
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="Seed of what controls draw.")
    device: ModelDevice = "cpu"

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that all rows of a folder share; grammars and controls may be added to it later."""
        return self.model_dump(mode="json", exclude=set(CHOICES))

    @field_validator("controls")
    @classmethod
    def _known(cls, controls: tuple[str, ...]) -> tuple[str, ...]:
        for name in controls:
            if name not in CONTROL_NAMES:
                raise ValueError(f"no control is called {quoted(name)}; controls are {', '.join(CONTROL_NAMES)}")
        return tuple(dict.fromkeys(controls))

    @field_validator("peers")
    @classmethod
    def _peers(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return check_peers(peers)
        except ExperimentError as error:
            raise ValueError(str(error)) from error

    @field_validator("grammars")
    @classmethod
    def _once(cls, grammars: tuple[str, ...]) -> tuple[str, ...]:
        if len({entry.removesuffix(":controls") for entry in grammars}) < len(grammars):
            raise ValueError("each grammar may be named once")
        return grammars


def recall_settings(config: PerplexityConfig) -> RecallSettings:
    """Return the settings of --recall; raises `ExperimentError` for distances that texts of this length don't have."""
    distances = config.distances or fitting_distances(config.length)
    return RecallSettings(length=config.length, distances=distances, seed=config.seed)


def make_perplexity_config(**settings: object) -> PerplexityConfig:
    """Build a `PerplexityConfig`; raises `ExperimentError` naming the setting, its value and what it must be."""
    try:
        config = PerplexityConfig.model_validate(settings)
    except ValidationError as error:
        raise setting_error(error) from error
    if "skip" in config.model_fields_set and config.skip >= config.length:
        raise ExperimentError(f"--skip {config.skip} leaves nothing of --length {config.length} tokens; skip fewer")
    if (config.peers or config.distances) and not config.recall:
        raise ExperimentError("--peers and --distances are for --recall; add it, or leave them out")
    if config.recall:
        recall_settings(config)
    return config
