"""Conversations from their spelling to tokens with tags: the tagger reads what is said, not the template's markup."""

from collections.abc import Sequence

import numpy as np
from transformers import BatchEncoding, PreTrainedTokenizerBase

from ..errors import InputError
from .align import AlignedText, Aligner
from .chat import Chat
from .encode import check_limit, encode
from .tagger import Tagger


def align_chats(
    tokenizer: PreTrainedTokenizerBase, tagger: Tagger, chats: Sequence[Chat], return_tensors: str | None
) -> tuple[BatchEncoding, list[AlignedText]]:
    """Return the tokens of conversations, and each one's tags; raises as annotating texts does."""
    encoded = _encode(tokenizer, chats, return_tensors)
    encodings, aligner = encoded.encodings or [], Aligner(tokenizer)
    marks = [aligner.markup_of(encoding, chat) for encoding, chat in zip(encodings, chats, strict=True)]
    read = [
        chat.without(np.array(encoding.offsets, dtype=np.int64)[mark])
        for chat, encoding, mark in zip(chats, encodings, marks, strict=True)
    ]
    return encoded, [
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
