"""What a tokenizer's call takes by name, as the Annotator takes it too: names, and values that are checked."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict

import numpy as np
from transformers import PreTrainedTokenizerBase
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils.generic import PaddingStrategy

from ..errors import InputError
from ..printing import quoted


class CallOptions(TypedDict, total=False):
    """What calling an Annotator takes by name, besides texts, `max_length` and `return_tensors`.

    They have the tokenizer's meaning, but `padding` and `truncation` that are left out or None: tensors are padded to
    the longest text, and what is longer than the limit is cut. `text` and `text_pair` are the tokenizer's names of
    texts: one text comes back without a batch. `spaces` say which of the words of `is_split_into_words` a space
    follows, `tags` the part of speech of each by its name, so that no tagger is asked, and `sentence_ids` the sentence
    of each, counted from 0; without them all words are one sentence. `return_coverage` adds a column of counts, see
    `Coverage.total`.
    """

    text: str | Iterable[Any]
    text_pair: str | Iterable[Any] | None
    is_split_into_words: bool
    spaces: Sequence[Any] | None
    tags: Sequence[Any] | None
    sentence_ids: Sequence[Any] | None
    padding: bool | str | None
    truncation: bool | str | None
    stride: int
    add_special_tokens: bool
    pad_to_multiple_of: int | None
    padding_side: str | None
    return_token_type_ids: bool | None
    return_attention_mask: bool | None
    return_overflowing_tokens: bool
    return_special_tokens_mask: bool
    return_offsets_mapping: bool
    return_length: bool
    return_coverage: bool
    verbose: bool


_KNOWN: Final[frozenset[str]] = frozenset(CallOptions.__annotations__)
_FLAGS: Final[frozenset[str]] = frozenset(
    name for name, kind in CallOptions.__annotations__.items() if kind in (bool, bool | None)
)
# No model reads the tags of a text that is to be written.
_REFUSED: Final[dict[str, str]] = dict.fromkeys(
    ("text_target", "text_pair_target"), "an Annotator makes inputs only; give targets to its tokenizer"
)


def check_options(options: Mapping[str, Any]) -> None:
    """Check what a call is given by name; raises `InputError` for any other, and for strategies that don't exist."""
    for name in options:
        if name not in _KNOWN:
            remedy = _REFUSED.get(name, f"it takes max_length, return_tensors, {', '.join(sorted(_KNOWN))}")
            raise InputError(f"an Annotator takes no {quoted(name)}; {remedy}")
    _check_strategy(options.get("padding"), PaddingStrategy, "padding")
    _check_strategy(options.get("truncation"), TruncationStrategy, "truncation")
    for name in _FLAGS.intersection(options):
        if not (options[name] is None or isinstance(options[name], bool | np.bool_)):
            raise InputError(f"{name} must be True or False, but is {quoted(options[name])}")
    side = options.get("padding_side")
    if not (side is None or (isinstance(side, str) and side in ("left", "right"))):
        raise InputError(f'padding_side must be "left" or "right", but is {quoted(side)}')


def _check_strategy(value: Any, kind: type[PaddingStrategy] | type[TruncationStrategy], name: str) -> None:
    if value is None or isinstance(value, bool):
        return
    try:
        kind(value)
    except ValueError as error:
        known = ", ".join(f'"{one.value}"' for one in kind)
        raise InputError(f"{name} must be True, False or one of {known}, but is {quoted(value)}") from error


def cuts(options: Mapping[str, Any]) -> bool:
    """Tell whether what is longer than the limit is cut."""
    truncation = options.get("truncation")
    return truncation is not False and truncation != TruncationStrategy.DO_NOT_TRUNCATE


def check_stride(
    options: Mapping[str, Any], limit: int | None, tokenizer: PreTrainedTokenizerBase, pairs: bool
) -> None:
    """Check that each window of a long text goes beyond the last one; raises `InputError`.

    The library behind fast tokenizers ends in a panic otherwise.
    """
    try:
        stride = operator.index(options.get("stride", 0))
    except TypeError:
        stride = -1
    room = None
    if limit is not None and cuts(options):
        around = tokenizer.num_special_tokens_to_add(pair=pairs) if options.get("add_special_tokens", True) else 0
        room = limit - around
    if stride < 0 or (stride and room is not None and stride >= room):
        most = "" if room is None else f" below {room}, the tokens of a text in each window"
        raise InputError(f"stride must be a whole number{most}, but is {quoted(options['stride'])}")
