"""From texts, or pairs of texts, and their tags to tokens with tags."""

from collections.abc import Iterable

from transformers import BatchEncoding, PreTrainedTokenizerBase

from .align import AlignedText, Aligner
from .encode import encode
from .tagger import TaggedText


def align_texts(
    tokenizer: PreTrainedTokenizerBase,
    first: list[str],
    second: list[str] | None,
    tagged_first: Iterable[TaggedText],
    tagged_second: Iterable[TaggedText] | None,
    *,
    max_length: int | None,
    return_tensors: str | None,
) -> tuple[BatchEncoding, list[AlignedText]]:
    """Return the tokens of texts, and each one's tags; raises as annotating texts does."""
    encoded = encode(tokenizer, first, second, max_length=max_length, return_tensors=return_tensors)
    texts = zip(first, strict=True) if second is None else zip(first, second, strict=True)
    tagged = zip(tagged_first, strict=True) if tagged_second is None else zip(tagged_first, tagged_second, strict=True)
    aligner = Aligner(tokenizer)  # tokens may have been added since
    return encoded, [
        aligner.align(encoding, text, words)
        for encoding, text, words in zip(encoded.encodings or (), texts, tagged, strict=True)
    ]


def with_tags(encoded: BatchEncoding, aligned: list[AlignedText], return_tensors: str | None) -> BatchEncoding:
    """Return the tokenizer's columns and the annotation of each token, as lists or tensors."""
    data = {
        **encoded.data,
        "tag_ids": [text.tag_ids.tolist() for text in aligned],
        "word_ids": [text.word_ids.tolist() for text in aligned],
        "sentence_ids": [text.sentence_ids.tolist() for text in aligned],
    }
    return BatchEncoding(data, tensor_type=return_tensors)
