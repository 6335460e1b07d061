"""From texts to tokens: what a caller asks of the tokenizer, checked."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Final

from transformers import BatchEncoding, PreTrainedTokenizerBase
from transformers.utils.generic import PaddingStrategy

from ..errors import InputError
from ..printing import quoted, reason
from .tokenizer_options import check_stride, cuts

_UNLIMITED: Final[int] = 1 << 31  # tokenizers without a limit say 1e30, which the Rust side cannot hold
_PANIC: Final[str] = "PanicException"  # of the Rust side: no Exception, and of a module that cannot be imported


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Any],
    pairs: Sequence[Any] | None,
    *,
    max_length: int | None,
    return_tensors: str | None,
    options: Mapping[str, Any] | None = None,
) -> BatchEncoding:
    """Return the tokens of texts (or pairs) as lists, padded where they are to become tensors; raises `InputError`.

    `options` are those of `CallOptions` that are the tokenizer's, checked.
    """
    chosen = dict(options or {})
    whole = not chosen.get("add_special_tokens", True)
    limit = check_limit(max_length, tokenizer, pairs=pairs is not None, special=not whole)
    check_kind(return_tensors)
    padding = chosen.pop("padding", None)
    if padding is None:
        padding = return_tensors is not None and len(texts) > 1
    _check_padding(padding, limit, tokenizer)
    check_stride(chosen, limit, tokenizer, pairs is not None)
    truncation = chosen.pop("truncation", None)
    if limit is None or not cuts({"truncation": truncation}):
        truncation = False
    elif truncation is None:
        truncation = True
    return _call(tokenizer, texts, pairs, {**chosen, "padding": padding, "truncation": truncation, "max_length": limit})


def check_kind(return_tensors: Any) -> None:
    """Raise `InputError` for tensors of another kind than PyTorch's and NumPy's."""
    if not (return_tensors is None or (isinstance(return_tensors, str) and return_tensors in ("pt", "np"))):
        raise InputError(f'return_tensors must be "pt", "np" or None (for lists), but is {quoted(return_tensors)}')


def check_limit(
    max_length: Any, tokenizer: PreTrainedTokenizerBase, *, pairs: bool, special: bool = True
) -> int | None:
    """Return how many tokens a text (or pair) may have, None for any number; raises `InputError`.

    A limit must hold the special tokens around a text, where it gets them. Where `max_length` is None it is what the
    tokenizer says.
    """
    name = "max_length" if max_length is not None else "the tokenizer's model_max_length"
    limit = tokenizer.model_max_length if max_length is None else max_length
    try:
        whole = operator.index(limit)
    except TypeError:
        whole = None
    if whole is None or isinstance(limit, bool):
        raise InputError(f"{name} must be a whole number of tokens, but is {quoted(limit)}")
    least = max(1, tokenizer.num_special_tokens_to_add(pair=pairs)) if special else 1
    if whole < least:
        raise InputError(
            f"{name} is {quoted(whole)}, but {'a pair' if pairs else 'a text'} of this tokenizer has at least {least} "
            f"tokens; give {least} or more, {least + 1 + pairs} to read a word of {'each' if pairs else 'it'}"
        )
    return whole if whole < _UNLIMITED else None


def _check_padding(padding: Any, limit: int | None, tokenizer: PreTrainedTokenizerBase) -> None:
    if padding is False or padding == PaddingStrategy.DO_NOT_PAD:
        return
    if tokenizer.pad_token_id is None:
        raise InputError(
            "the tokenizer has no padding token, which tensors of several texts need; set one, such as "
            "tokenizer.pad_token = tokenizer.eos_token, or leave return_tensors out"
        )
    if padding == PaddingStrategy.MAX_LENGTH and limit is None:
        raise InputError('padding="max_length" needs max_length, since the tokenizer has no model_max_length')


def _call(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Any], pairs: Sequence[Any] | None, options: Mapping[str, Any]
) -> BatchEncoding:
    try:
        encoded: BatchEncoding = tokenizer(texts, pairs, **options)
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        raise InputError(f"the tokenizer cannot encode the texts so: {reason(error)}") from error
    return encoded
