"""Texts, or pairs of texts, and their tags to tokens with tags."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from tokenizers import Encoding
from transformers import BatchEncoding, PreTrainedTokenizerBase

from .align import AlignedText, Aligner
from .call_texts import CallTexts
from .encode import encode
from .tagger import TaggedText
from .windows import align_windows

# What the whole texts are encoded with, of which the windows are parts.
_WHOLE: Final[dict[str, Any]] = {"padding": False, "truncation": False, "stride": 0, "verbose": False}


def align_texts(
    tokenizer: PreTrainedTokenizerBase,
    texts: CallTexts,
    tagged_first: Iterable[TaggedText],
    tagged_second: Iterable[TaggedText] | None,
    *,
    max_length: int | None,
    return_tensors: str | None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[BatchEncoding, list[AlignedText]]:
    """Return the tokens of texts, and each one's tags; raises as annotating texts does."""
    options = {**options, "is_split_into_words": texts.split}
    encoded = encode(tokenizer, *texts.given, max_length=max_length, return_tensors=return_tensors, options=options)
    windows = encoded.get("overflow_to_sample_mapping")
    whole = encoded
    if windows is not None:
        options = {**options, **_WHOLE, "return_overflowing_tokens": False}
        whole = encode(tokenizer, *texts.given, max_length=None, return_tensors=None, options=options)
    aligner = Aligner(tokenizer)  # tokens may have been added since
    pairs = texts.with_tags(tagged_first, tagged_second)
    encodings = whole.encodings or []
    aligned = [
        aligner.align(encoding, words, tagged, split=texts.split)
        for encoding, (words, tagged) in zip(encodings, pairs, strict=True)
    ]
    if windows is None:
        return encoded, aligned
    parts: list[list[Encoding]] = [[] for _ in aligned]
    for number, window in zip(windows, encoded.encodings or (), strict=True):
        parts[number].append(window)
    made = zip(encodings, aligned, parts, strict=True)
    return encoded, [text for one in made for text in align_windows(aligner, *one, split=texts.split)]
