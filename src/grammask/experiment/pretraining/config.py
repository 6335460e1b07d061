"""The settings of a pretraining: everything that its model depends on, checked when they are made."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...environment import LARGEST_SEED
from ...errors import ExperimentError, setting_error
from ...tagging.load_tagger import TAGGER_HELP
from ...tagging.spacy_tagger import DEFAULT_PIPELINE, SentenceSource
from ..row_settings import ControlName, TrainedModel
from ..scratch_shape import read_shape

_MOST: Final[int] = 10**9


class PretrainConfig(BaseModel):
    """The settings of one pretraining. `make_pretrain_config` builds one and raises errors of this package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: TrainedModel = Field(
        default="scratch:4x256x4",
        description="scratch:LAYERSxWIDTHxHEADS, a BERT from nothing; or what is trained on: minilm (packaged), a "
        "local folder, or a Hub model.",
    )
    text: str | None = Field(
        default=None, description="A UTF-8 text file, or a folder of them: one sentence or paragraph a line."
    )
    task: str | None = Field(
        default=None, description="A data set whose training texts are read, too: as compare takes it."
    )
    text_column: str | None = Field(default=None, description="With a task: the column of the text.")
    limit: int | None = Field(default=None, ge=2, le=_MOST, description="Texts at most, drawn by the seed.")
    vocabulary: int | None = Field(
        default=None, ge=200, le=10**6, description="Tokens of a tokenizer of its own, which is learned from the texts."
    )
    grammar: str | None = Field(default=None, description="A shipped grammar or a file.")
    strategy: Literal["hard", "soft"] = Field(default="hard", description="What the grammar does to attention.")
    control: ControlName | None = Field(
        default=None, description="What takes the grammar's place, as in compare's controls."
    )
    tagger: str = Field(default=DEFAULT_PIPELINE, description=TAGGER_HELP)
    sentences: SentenceSource = Field(default="sentencizer", description="Where sentences come from.")
    masked: float = Field(
        default=0.15, gt=0, lt=1, allow_inf_nan=False, description="The share of the words' tokens to predict."
    )
    epochs: float = Field(default=3.0, gt=0, le=10_000, allow_inf_nan=False, description="Passes over the texts.")
    batch_size: int = Field(default=64, ge=1, le=65_536, description="Texts in a batch.")
    learning_rate: float = Field(
        default=5e-4, gt=0, le=10, allow_inf_nan=False, description="Highest learning rate; it falls linearly to 0."
    )
    max_length: int = Field(default=128, ge=8, le=1_000_000, description="Tokens after which a text is cut.")
    group_by_length: bool = Field(
        default=False, description="Whether batches hold texts of about the same length, which saves padding."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="What models compute in.")
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="Of weights, order, masks and dropout.")
    save_every: int = Field(default=500, ge=1, le=_MOST, description="Steps from one checkpoint to the next.")

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that a pretraining which is gone on with must share."""
        return self.model_dump(mode="json", exclude={"save_every"})


def make_pretrain_config(**settings: object) -> PretrainConfig:
    """Build a `PretrainConfig`; raises `ExperimentError` for settings that are wrong, alone or together."""
    try:
        config = PretrainConfig.model_validate(settings)
    except ValidationError as error:
        raise setting_error(error) from error
    if config.text is None and config.task is None:
        raise ExperimentError("there is nothing to read; give --text, or --task, or both")
    if config.text_column is not None and config.task is None:
        raise ExperimentError("--text-column is for --task; name one, or leave the column out")
    if config.grammar is None and (config.control is not None or config.strategy != "hard"):
        raise ExperimentError("--control and --strategy are for --grammar; name one, or leave them out")
    if config.control is not None and config.strategy != "hard":
        raise ExperimentError("--control takes the place of a hard grammar; leave --strategy out")
    if config.vocabulary is not None and read_shape(config.model) is None:
        raise ExperimentError(
            f"model {config.model!r} reads its own tokens; --vocabulary is for scratch:LAYERSxWIDTHxHEADS"
        )
    return config
