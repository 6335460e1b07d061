"""From texts to tokens: what a caller asks of the tokenizer, checked."""

import operator
from typing import Any, Final

from transformers import BatchEncoding, PreTrainedTokenizerBase

from ..errors import InputError

_UNLIMITED: Final[int] = 1 << 31  # tokenizers without a limit say 1e30, which the Rust side cannot hold


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    pairs: list[str] | None,
    *,
    max_length: int | None,
    return_tensors: str | None,
    complete: bool = False,
) -> BatchEncoding:
    """Return the tokens of texts (or pairs) as lists, padded where they are to become tensors; raises `InputError`.

    Texts that are `complete` have their special tokens already, and none is cut.
    """
    limit = check_limit(max_length, tokenizer, pairs=pairs is not None)
    if return_tensors not in (None, "pt", "np"):
        raise InputError(f'return_tensors must be "pt", "np" or None (for lists), but is {return_tensors!r}')
    padding = return_tensors is not None and len(texts) > 1
    if padding and tokenizer.pad_token_id is None:
        raise InputError(
            "the tokenizer has no padding token, which tensors of several texts need; set one, such as "
            "tokenizer.pad_token = tokenizer.eos_token, or leave return_tensors out"
        )
    encoded: BatchEncoding = tokenizer(
        texts, pairs, truncation=limit is not None and not complete, max_length=limit, padding=padding,
        add_special_tokens=not complete,
    )  # fmt: skip
    return encoded


def check_limit(max_length: Any, tokenizer: PreTrainedTokenizerBase, *, pairs: bool) -> int | None:
    """Return how many tokens a text (or pair) may have, None for any number; raises `InputError`.

    A limit must hold the special tokens around a text. Where `max_length` is None it is what the tokenizer says.
    """
    name = "max_length" if max_length is not None else "the tokenizer's model_max_length"
    limit = tokenizer.model_max_length if max_length is None else max_length
    try:
        whole = operator.index(limit)
    except TypeError:
        whole = None
    if whole is None or isinstance(limit, bool):
        raise InputError(f"{name} must be a whole number of tokens, but is {limit!r}")
    least = max(1, tokenizer.num_special_tokens_to_add(pair=pairs))
    if whole < least:
        raise InputError(
            f"{name} is {whole}, but {'a pair' if pairs else 'a text'} of this tokenizer has at least {least} tokens; "
            f"give {least} or more, {least + 1 + pairs} to read a word of {'each' if pairs else 'it'}"
        )
    return whole if whole < _UNLIMITED else None
