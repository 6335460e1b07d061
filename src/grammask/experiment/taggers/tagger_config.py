"""The settings of `grammask tagger train`."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...environment import LARGEST_SEED
from ...errors import ExperimentError, setting_error

HELD_OUT = 10  # every so many-th text, where no others are held out


class TaggerConfig(BaseModel):
    """What a tagger is made from. `make_tagger_config` builds one and raises errors of this package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        default="minilm",
        description="The model whose subwords the tagger reads: a packaged one, a local folder, or a Hub model.",
    )
    conllu: Path | None = Field(default=None, description="A treebank in CoNLL-U, plain or gzipped.")
    text: Path | None = Field(default=None, description="UTF-8 text, one text a line, which a teacher tags.")
    teacher: str | None = Field(
        default=None, description="The tagger that --text is tagged by: a spaCy pipeline, or a trained tagger's folder."
    )
    model_teaches: bool = Field(
        default=False,
        description="The whole --model learns the treebank first. What it then says of --text teaches the tagger, too.",
    )
    held_out: Path | None = Field(
        default=None, description="A treebank to measure on; without it every tenth text is held out."
    )
    name: str = Field(default="subwords", min_length=1, max_length=100, description="What the tagger is called.")
    inside: int = Field(default=96, ge=8, le=1024, description="Numbers of a subword.")
    width: int = Field(default=128, ge=8, le=1024, description="Numbers of a layer; fewer make a faster tagger.")
    epochs: int = Field(default=8, ge=1, le=1000, description="How often each text is read.")
    limit: int | None = Field(default=None, ge=1, description="Texts of each source at most.")
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="Of the network's beginning and the texts' order.")


def make_tagger_config(**settings: Any) -> TaggerConfig:
    """Check settings; raises `ExperimentError` for the first one that is wrong, or sources that don't fit together."""
    try:
        config = TaggerConfig(**settings)
    except ValidationError as error:
        raise setting_error(error) from error
    if config.conllu is None and config.text is None:
        raise ExperimentError("there is nothing to learn from; give --conllu, or --text with --teacher, or both")
    if config.model_teaches:
        if config.conllu is None or config.text is None or config.teacher is not None:
            raise ExperimentError("--model-teaches needs --conllu and --text, and takes the place of --teacher")
    elif (config.text is None) != (config.teacher is None):
        raise ExperimentError("--text and a teacher belong together: give --text with --teacher or --model-teaches")
    return config
