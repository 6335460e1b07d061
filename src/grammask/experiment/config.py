"""The settings of a comparison: everything that its numbers depend on, checked when they are made."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from ..environment import LARGEST_SEED
from ..errors import ExperimentError, setting_error
from ..grammar.rules import STRATEGIES
from ..model.position_methods import PositionMethod
from ..tagging.load_tagger import TAGGER_HELP
from ..tagging.spacy_tagger import DEFAULT_PIPELINE, SentenceSource
from .adaptations import Adaptation, Attention
from .row_settings import Controls, Grammars, Strategies, TrainedModel
from .scratch_shape import read_shape

# Settings that choose the runs. All others are the same for all runs of a folder, except those of judgement.
CHOICES: Final[tuple[str, ...]] = ("grammars", "strategies", "controls", "adaptations", "seeds")
_MOST_TEXTS: Final[int] = 10**9
_JUDGED: Final[tuple[str, ...]] = ("metric", "margin")


class Config(BaseModel):
    """The settings of one comparison. `make_config` builds one and raises errors of this package.

    A grammar is a shipped name or a path. With `:hard` or `:soft` after it, only that strategy of it is run; with
    `:controls` it is run hard, and so is every control of it. Each of `adaptations` is run next to the plain strategy
    that it is for. Differences and tests are about `metric`; a row that loses less than `margin` of it is not inferior
    to full.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(
        default="film-reviews",
        description="film-reviews (built in), a file or folder (TSV, CSV, JSONL, Parquet), or a Hub dataset.",
    )
    text_column: str | None = Field(default=None, description="Column of the text.")
    pair_column: str | None = Field(default=None, description="Column of the second text of sentence pairs.")
    label_column: str | None = Field(default=None, description="Column of the label.")
    header: bool = Field(default=True, description="Whether files have a header; without one, columns are 0, 1, ...")
    model: TrainedModel = Field(
        default="minilm",
        description="minilm or smollm2 (packaged), a local folder, a Hub model, or scratch:LAYERSxWIDTHxHEADS: a BERT "
        "from nothing.",
    )
    tagger: str = Field(default=DEFAULT_PIPELINE, description=TAGGER_HELP)
    sentences: SentenceSource = Field(default="sentencizer", description="Where sentences come from.")
    grammars: Grammars = ("paper", "paper-sinks:hard")
    strategies: Strategies = STRATEGIES
    controls: Controls = ()
    adaptations: tuple[Adaptation, ...] = Field(default=(), description="Ways of training besides the plain one.")
    attention: Attention = Field(
        default="kept",
        description="Query, key and value weights: kept; drawn anew in all runs (fresh), or in those of a grammar only "
        "(as-paper), as the paper's code does.",
    )
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1, description="Seeds of the runs.")
    train_size: int | None = Field(default=None, ge=2, le=_MOST_TEXTS, description="Training texts.")
    eval_size: int | None = Field(default=None, ge=2, le=_MOST_TEXTS, description="Evaluation texts.")
    epochs: float = Field(
        default=1.0, gt=0, le=10_000, allow_inf_nan=False, description="Passes over the training texts."
    )
    batch_size: int = Field(default=32, ge=1, le=65_536, description="Texts in a batch.")
    learning_rate: float = Field(
        default=1e-4, gt=0, le=10, allow_inf_nan=False, description="Highest learning rate; it falls linearly to 0."
    )
    warmup: float = Field(
        default=0.0, ge=0, lt=1, allow_inf_nan=False, description="Share of the steps in which the learning rate rises."
    )
    positions: int | None = Field(
        default=None, ge=8, le=1_000_000, description="Tokens that a BERT-like model reads, beyond its own positions."
    )
    position_method: PositionMethod = Field(default="tile", description="How --positions makes the new ones.")
    max_length: int = Field(default=128, ge=8, le=1_000_000, description="Tokens after which a text is cut.")
    group_by_length: bool = Field(
        default=False, description="Whether batches hold texts of about the same length, which saves padding."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="What models compute in.")
    metric: Literal["accuracy", "matthews"] = Field(default="accuracy", description="What differences are measured in.")
    margin: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="How much of the metric may be lost before a row is inferior.",
    )

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that all runs of a folder share; grammars, strategies and seeds may be added to it later."""
        return self.model_dump(mode="json", exclude={*CHOICES, *_JUDGED})

    @model_validator(mode="before")
    @classmethod
    def _cut_at_positions(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Cut texts at `positions` where no length is named: who asks for them wants them read."""
        positions = settings.get("positions")
        return settings if positions is None else {"max_length": positions, **settings}

    @field_validator("attention")
    @classmethod
    def _has_weights(cls, attention: Attention, info: ValidationInfo) -> Attention:
        model = info.data.get("model")
        if attention != "kept" and model is not None and read_shape(model) is not None:
            raise ValueError(f"all weights of {model} are new anyway; leave it out")
        return attention

    @field_validator("position_method")
    @classmethod
    def _of_positions(cls, method: PositionMethod, info: ValidationInfo) -> PositionMethod:
        if method != "tile" and info.data.get("positions") is None:
            raise ValueError("it is how --positions are made; name their number too")
        return method

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) > LARGEST_SEED:
            raise ValueError(f"seeds are distinct whole numbers from 0 to {LARGEST_SEED}")
        return seeds

    def check_steps(self, texts: int) -> None:
        """Raise `ExperimentError` where `texts` are too few for a single step of training."""
        batches = -(-texts // self.batch_size)
        if self.epochs * batches < 1:
            raise ExperimentError(
                f"--epochs {self.epochs:g} of {texts:,} texts in batches of {self.batch_size} is less than one step of "
                f"training; take at least {1 / batches:.2g}"
            )


# Settings that came later, and what they were before: what folders without them were made with.
ADDED: Final[dict[str, Any]] = {
    name: Config.model_fields[name].default
    for name in ("warmup", "positions", "position_method", "group_by_length", "attention")
} | {"device": "cpu"}  # of perplexity


def make_config(**settings: object) -> Config:
    """Build a `Config`; raises `ExperimentError` naming the setting, its value and what it must be."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise setting_error(error) from error
