"""Whether a tokenizer is whole and its model's own, and what it pads with."""

from typing import Final

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ..errors import ModelError
from ..files.find_file import find_file
from .model_source import ModelSource

_TOKENIZER: Final[str] = "tokenizer.json"
_PADDED: Final[float] = 0.05  # vocabularies are filled up to a round size, by this share or _PADDED_BY at most
_PADDED_BY: Final[int] = 64


def set_padding(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, name: str) -> None:
    """Give a tokenizer without a padding token its model's, or else its end of text; raises `ModelError` without."""
    own = config.pad_token_id
    if tokenizer.pad_token_id is None and own in tokenizer.get_vocab().values():
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(own)
    elif tokenizer.pad_token_id is None and own is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of {name!r} has no padding token, so texts cannot be batched")


def check_vocabulary_files(tokenizer: PreTrainedTokenizerBase, source: ModelSource) -> None:
    """Raise `ModelError` where the vocabulary files are missing: transformers then makes a vocabulary up."""
    needed = sorted({*tokenizer.vocab_files_names.values()} - {_TOKENIZER})
    found = [file for file in needed if find_file(source.location, file, **source.pinned) is not None]
    if find_file(source.location, _TOKENIZER, **source.pinned) is None and (not needed or found != needed):
        files = " and ".join(needed)
        raise ModelError(
            f"model {source.name!r} has no tokenizer: {_TOKENIZER} is missing" + (f", and {files} too" if files else "")
        )


def check_size(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, name: str) -> None:
    """Raise `ModelError` for a tokenizer of another vocabulary than the model's."""
    largest, there, pad = max(tokenizer.get_vocab().values()), config.vocab_size, config.pad_token_id
    missing = there - largest - 1
    wrong_size = missing < 0 or missing > max(_PADDED_BY, _PADDED * there)
    if wrong_size or (pad is not None and pad != tokenizer.pad_token_id):
        raise ModelError(
            f"the tokenizer in {name!r} doesn't belong to its model: it has {len(tokenizer)} tokens up to "
            f"number {largest} and pads with {tokenizer.pad_token_id}, the model has {there} and pads with {pad}"
        )
