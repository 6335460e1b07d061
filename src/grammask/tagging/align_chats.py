"""Conversations from their spelling to tokens with tags: the tagger reads what is said, not the template's markup."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from transformers import BatchEncoding, PreTrainedTokenizerBase

from ..errors import InputError
from ..printing import reason
from .align import AlignedText, Aligner
from .chat import Chat, render_chats
from .encode import check_kind, check_limit, encode
from .tagger import Tagger

# What `apply_chat_template` asks of the tokenizer, and not of the template.
_OF_TOKENS: Final[frozenset[str]] = frozenset({
    "padding", "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenize",
    "sanitize_control_tokens", "tokenizer_kwargs",
})  # fmt: skip


def align_chats(
    tokenizer: PreTrainedTokenizerBase, tagger: Tagger, chats: Sequence[Chat], return_tensors: str | None
) -> tuple[BatchEncoding, list[AlignedText]]:
    """Return the tokens of conversations, and each one's tags; raises as annotating texts does."""
    encoded = _encode(tokenizer, chats, return_tensors)
    return encoded, _align(tokenizer, tagger, chats, encoded)


def align_templates(
    tokenizer: PreTrainedTokenizerBase, tagger: Tagger, conversations: Any, template: Mapping[str, Any]
) -> tuple[BatchEncoding, list[AlignedText]]:
    """Return what `apply_chat_template` makes of several conversations, as lists, and each one's tags.

    Raises as annotating texts does.
    """
    check_kind(template.get("return_tensors"))
    spelled = {name: value for name, value in template.items() if name not in _OF_TOKENS}
    chats = render_chats(tokenizer, conversations, {"add_generation_prompt": False, **spelled})
    options = {name: value for name, value in template.items() if name != "return_tensors"}
    try:
        encoded: Any = tokenizer.apply_chat_template(conversations, **options)
    except Exception as error:
        raise InputError(f"the tokenizer cannot encode the conversations so: {reason(error)}") from error
    return encoded, _align(tokenizer, tagger, chats, encoded)


def _align(
    tokenizer: PreTrainedTokenizerBase, tagger: Tagger, chats: Sequence[Chat], encoded: BatchEncoding
) -> list[AlignedText]:
    encodings, aligner = encoded.encodings or [], Aligner(tokenizer)
    marks = [aligner.markup_of(encoding, chat) for encoding, chat in zip(encodings, chats, strict=True)]
    read = [
        chat.without(np.array(encoding.offsets, dtype=np.int64)[mark])
        for chat, encoding, mark in zip(chats, encodings, marks, strict=True)
    ]
    return [
        aligner.align(encoding, (chat.text,), (words,), mark)
        for encoding, chat, words, mark in zip(encodings, chats, tagger.tag(read), marks, strict=True)
    ]


def _encode(tokenizer: PreTrainedTokenizerBase, chats: Sequence[Chat], return_tensors: str | None) -> BatchEncoding:
    """Return the tokens; a conversation that is too long is refused, since a cut one has no place for an answer."""
    texts = [chat.text for chat in chats]
    options = {"truncation": False, "add_special_tokens": False}  # the template has them already
    encoded = encode(tokenizer, texts, None, max_length=None, return_tensors=return_tensors, options=options)
    limit = check_limit(None, tokenizer, pairs=False)
    for number, encoding in enumerate(encoded.encodings or ()):
        if limit is not None and sum(encoding.attention_mask) > limit:
            raise InputError(
                f"conversation {number} has {sum(encoding.attention_mask):,} tokens, but the tokenizer's "
                f"model_max_length is {limit:,}; leave out what was said first"
            )
    return encoded
