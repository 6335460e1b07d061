"""Where a model is that a user named: a file of a package, a local folder, or the Hub."""

import hashlib
from dataclasses import dataclass
from typing import Final

from huggingface_hub import HfApi, try_to_load_from_cache
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, PreTrainedConfig

from ..errors import ModelError
from ..files.find_file import find_file
from ..printing import reason
from .model_files import WEIGHTS, read_config
from .packaged_models import PACKAGED
from .saved_grammar import CONFIG_KEY

_TIMEOUT: Final[int] = 20  # seconds


@dataclass(frozen=True)
class ModelSource:
    """Where a model is, and the hash of its weights file (the index of a model in several parts)."""

    name: str
    location: str
    sha256: str


def has_grammar(source: ModelSource) -> bool:
    """Tell whether a model was saved with a grammar."""
    return getattr(read_config(source.location), CONFIG_KEY, None) is not None


def may_be_causal(config: PreTrainedConfig) -> bool:
    """Tell whether transformers has a causal language model of this architecture that isn't an encoder's.

    It has some of encoders, which read to both sides unless their config calls them decoders.
    """
    is_encoder = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not config.is_encoder_decoder and not is_encoder


def ask_hub(name: str) -> None:
    """Raise `ModelError` for a model that is neither cached nor on the Hub, without a download's minutes of retries."""
    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        HfApi().model_info(name, timeout=_TIMEOUT)
    except Exception as error:  # the client and its network library raise many unrelated kinds
        raise ModelError(
            f"no model {name!r}: not packaged ({', '.join(PACKAGED)}), no local folder, and the Hub did not give it "
            f"({reason(error)}); without a network, give a local folder"
        ) from error


def hash_weights(location: str, name: str) -> str:
    """Return the sha256 of a model's weights file; raises `ModelError` where it has none."""
    for file in WEIGHTS:
        if (found := find_file(location, file)) is not None:
            with open(found, "rb") as weights:
                return hashlib.file_digest(weights, "sha256").hexdigest()
    raise ModelError(f"{name!r} holds no weights: none of {', '.join(WEIGHTS)}")
