"""Where a model is that a user named: a file of a package, a local folder, or the Hub."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, PreTrainedConfig

from ..errors import ModelError
from ..files.find_file import find_file
from .model_files import WEIGHTS, read_config
from .saved_grammar import CONFIG_KEY

MODEL_FOLDER: Final[str] = "model"  # in the folder of a pretraining


@dataclass(frozen=True)
class ModelSource:
    """Where a model is, and the hash of its weights file (the index of a model in several parts).

    `pinned` are the arguments of each read of a Hub model, by which all of them are of one commit.
    """

    name: str
    location: str
    sha256: str
    pinned: Mapping[str, Any] = field(default_factory=dict, hash=False)


def has_grammar(source: ModelSource) -> bool:
    """Tell whether a model was saved with a grammar."""
    return getattr(read_config(source.location, **source.pinned), CONFIG_KEY, None) is not None


def may_be_causal(config: PreTrainedConfig) -> bool:
    """Tell whether transformers has a causal language model of this architecture that isn't an encoder's.

    It has some of encoders, which read to both sides unless their config calls them decoders.
    """
    is_encoder = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not config.is_encoder_decoder and not is_encoder


def hash_weights(location: str, name: str, **hub: Any) -> str:
    """Return the sha256 of a model's weights file; raises `ModelError` where it has none."""
    for file in WEIGHTS:
        if (found := find_file(location, file, **hub)) is not None:
            with open(found, "rb") as weights:
                return hashlib.file_digest(weights, "sha256").hexdigest()
    inside = Path(location) / MODEL_FOLDER
    hint = f"; did you mean {str(inside)!r}?" if inside.is_dir() else ""
    raise ModelError(f"{name!r} holds no weights: none of {', '.join(WEIGHTS)}{hint}")
