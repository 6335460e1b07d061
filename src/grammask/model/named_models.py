"""Models and tokenizers by the names that users type: a packaged one, a local folder, or a Hub model.

No other model is ever loaded instead.
"""

import os

from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..errors import ModelError
from ..files.pin_revision import pin_revision
from ..files.read import expand_home
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..printing import reason
from .attach import attach
from .from_pretrained import from_pretrained
from .load_weights import Loaded, load_weights
from .model_files import read_config, read_json
from .model_source import ModelSource, has_grammar, hash_weights, may_be_causal
from .packaged_models import PACKAGED, find_packaged
from .tokenizer_checks import check_size, check_vocabulary_files, set_padding


def find_model(name: str) -> ModelSource:
    """Find a model, of the Hub as NAME or NAME@REVISION.

    Raises `ModelError` when it is nowhere, or the packaged one isn't what it should be.
    """
    if name in PACKAGED:
        return ModelSource(name, str(find_packaged(name)), PACKAGED[name].sha256)
    if os.path.isdir(expand_home(name)):
        folder = str(expand_home(name))
        return ModelSource(name, folder, hash_weights(folder, name))
    location, _, revision = name.partition("@")
    try:
        pinned = pin_revision(location, revision=revision or None)
    except ModelError as error:
        raise ModelError(f"{error}; packaged models are {', '.join(PACKAGED)}") from error
    return ModelSource(name, location, hash_weights(location, name, **pinned), pinned)


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model; raises `ModelError` where there is none, or it is another model's.

    One without a padding token, as decoders often have it, pads with the model's, or else with its end of text.
    """
    config = read_config(source.location, **source.pinned)
    read_json(source.location, "tokenizer_config.json", **source.pinned)  # one that brings code of its own is refused
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.location, trust_remote_code=False, **source.pinned
        )
    except Exception as error:  # transformers raises many kinds for folders that hold no tokenizer
        raise ModelError(f"model {source.name!r} has no tokenizer that can be loaded: {reason(error)}") from error
    check_vocabulary_files(tokenizer, source)
    set_padding(tokenizer, config, source.name)
    check_size(tokenizer, config, source.name)
    return tokenizer


def load_classifier(source: ModelSource, label_names: tuple[str, ...], *, pad_token_id: int | None = None) -> Loaded:
    """Load a model with a head for these classes; a head that the weights lack is new and random, so seed first.

    `pad_token_id` is what its tokenizer pads with: decoders, which answer at the last token that isn't padding, are
    often saved without it. Raises `ModelError`, also for a model that was saved with a grammar, which would be lost.
    """
    check_stock(source)
    loaded = load_weights(
        AutoModelForSequenceClassification,
        source.location,
        **source.pinned,
        new="head",
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={label: index for index, label in enumerate(label_names)},
        problem_type="single_label_classification",
        output_attentions=False,  # a config may ask for outputs that nobody reads
        output_hidden_states=False,
        return_dict=True,
    )
    if loaded.model.config.pad_token_id is None:
        loaded.model.config.pad_token_id = pad_token_id
    return loaded


def load_causal(source: ModelSource) -> PreTrainedModel:
    """Load a causal language model.

    Raises `ModelError` for a model of another kind, and for one that was saved with a grammar.
    """
    check_stock(source)
    config = read_config(source.location, **source.pinned)
    if not may_be_causal(config):
        raise ModelError(
            f"model {source.name!r} ({config.model_type}) is no causal language model: it reads what comes after a "
            "token too; take a decoder, such as smollm2"
        )
    return load_weights(AutoModelForCausalLM, source.location, **source.pinned).model


def count_key_heads(config: PreTrainedConfig) -> int:
    """Return how many key-value heads each layer has: those of queries, where a config names no others."""
    found: int = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return found


def load_guided(source: ModelSource, grammar: str | None) -> PreTrainedModel:
    """Load a model with the grammar that it was saved with, or a stock one, attached to read everything.

    Raises `ModelError` for a stock model where no `grammar` is named to compare it with.
    """
    if has_grammar(source):
        return _load_own(source)
    if grammar is None:
        raise ModelError(f"model {source.name!r} was saved without a grammar; name one to compare it with: --grammar")
    # Attention doesn't depend on the pooler, so it may be missing.
    return attach(
        load_weights(AutoModel, source.location, new="pooler", **source.pinned).model, load_grammar(grammar), "full"
    )


def load_saved(source: ModelSource) -> PreTrainedModel:
    """Load a model with the grammar that it was saved with; raises `ModelError` where there is none."""
    if not has_grammar(source):
        raise ModelError(
            f"model {source.name!r} was saved without a grammar; `grammask compare --keep-models` saves them with one, "
            "and explain takes one by --grammar"
        )
    return _load_own(source)


def _load_own(source: ModelSource) -> PreTrainedModel:
    model: PreTrainedModel = from_pretrained(
        source.location, annotator=False, **source.pinned
    )  # callers bring their own
    return model


def load_answering(source: ModelSource, grammar: Grammar | None) -> PreTrainedModel:
    """Load a model that answers, with a label or a token: with its own grammar, or a stock one with `grammar`, hard.

    Raises `ModelError` where there is no grammar or one too many, and for a stock model without labels and tokens.
    """
    if grammar is None:
        return load_saved(source)
    if has_grammar(source):
        raise ModelError(f"model {source.name!r} was saved with a grammar of its own; leave --grammar out")
    config = read_config(source.location, **source.pinned)
    classes = " ".join(config.architectures or ())
    if "ForSequenceClassification" in classes:
        return attach(load_weights(AutoModelForSequenceClassification, source.location, **source.pinned).model, grammar)
    if not may_be_causal(config):
        raise ModelError(
            f"model {source.name!r} ({classes or 'of no class'}) answers neither with a label nor with a token; name a "
            "causal language model or a classifier"
        )
    return attach(load_causal(source), grammar)


def check_stock(source: ModelSource) -> None:
    """Raise `ModelError` for a model that was saved with a grammar, which would be lost."""
    if has_grammar(source):
        raise ModelError(
            f"model {source.name!r} was saved with a grammar; take the stock model that it was trained from"
        )
