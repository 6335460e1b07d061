"""The Annotator: from texts to model inputs with the tag, word and sentence of every token."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from transformers import BatchEncoding, PreTrainedTokenizerBase

from .align import Aligner, Coverage
from .errors import AlignmentError, InputError
from .tagging.cache import CachedTagger
from .tagging.spacy_tagger import DEFAULT_PIPELINE, SentenceSource, SpacyTagger
from .tagging.tagged import TaggedText, Tagger

_LONGEST = 1_000_000  # tokenizers without a limit say 1e30, which the Rust side cannot hold


class Annotator:
    """Turns texts into model inputs: input_ids, attention_mask, tag_ids, word_ids and sentence_ids.

    `tokenizer` is a fast transformers tokenizer. `tagger` is the name of a spaCy pipeline or any `Tagger`.
    `sentences` says where sentence numbers come from: the rule-based "sentencizer" or the "parser". Tags are cached
    on disk unless `cache` is False; a path names the cache's file. `strict` is the least share of words that must
    get a subword in every call, below which `AlignmentError` is raised. `coverage` adds up over all calls.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tagger: str | Tagger = DEFAULT_PIPELINE,
        *,
        sentences: SentenceSource = "sentencizer",
        cache: bool | Path = True,
        strict: float | None = None,
    ) -> None:
        if strict is not None and not 0 <= strict <= 1:
            raise AlignmentError(f"strict is a share of words between 0 and 1, but is {strict}")
        self.tokenizer = tokenizer
        self._aligner = Aligner(tokenizer)
        answering = SpacyTagger(tagger, sentences=sentences) if isinstance(tagger, str) else tagger
        if cache is not False:
            answering = CachedTagger(answering, cache if isinstance(cache, Path) else None)
        self.tagger: Tagger = answering
        self.coverage = Coverage()
        self._strict = strict

    def __call__(
        self,
        texts: str | Sequence[str],
        pairs: str | Sequence[str] | None = None,
        *,
        max_length: int | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Annotate texts, or sentence pairs where `pairs` holds the second text of each.

        Texts longer than `max_length` tokens (default: what the tokenizer says the model reads) are cut. With
        `return_tensors="pt"` the batch is padded into tensors (batch, length), else every text keeps its length in
        lists. Raises `InputError`, `TaggingError` and `AlignmentError`.
        """
        first = check_texts(texts)
        second = None if pairs is None else check_texts(pairs)
        if second is not None and len(second) != len(first):
            raise InputError(f"there are {len(first)} texts but {len(second)} pairs; each text needs one")
        return self.join(
            first, second, self.tagger.tag(first), None if second is None else self.tagger.tag(second),
            max_length=max_length, return_tensors=return_tensors,
        )  # fmt: skip

    def join(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None,
        tagged_texts: Iterable[TaggedText],
        tagged_pairs: Iterable[TaggedText] | None,
        *,
        max_length: int | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Annotate texts whose tags are there already; otherwise as calling the annotator."""
        limit = max_length or self.tokenizer.model_max_length
        encoded = self.tokenizer(
            list(texts),
            None if pairs is None else list(pairs),
            truncation=limit < _LONGEST,
            max_length=limit if limit < _LONGEST else None,
            padding=return_tensors is not None,
        )
        tagged = (
            zip(tagged_texts, strict=False) if tagged_pairs is None else zip(tagged_texts, tagged_pairs, strict=True)
        )
        aligned = [
            self._aligner.align(encoding, words)
            for encoding, words in zip(encoded.encodings or (), tagged, strict=True)
        ]
        coverage = sum((text.coverage for text in aligned), Coverage())
        self.coverage += coverage
        if self._strict is not None and coverage.word_share < self._strict:
            raise AlignmentError(
                f"only {coverage.covered_words} of {coverage.words} words ({coverage.word_share:.2%}) got a subword, "
                f"less than strict={self._strict:.2%}; do tokenizer and tagger read the same language?"
            )
        data = {
            **encoded.data,
            "tag_ids": [text.tag_ids.tolist() for text in aligned],
            "word_ids": [text.word_ids.tolist() for text in aligned],
            "sentence_ids": [text.sentence_ids.tolist() for text in aligned],
        }
        return BatchEncoding(data, tensor_type=return_tensors)


def check_texts(texts: str | Sequence[str]) -> list[str]:
    """Return `texts` as a list; raise `InputError` on anything that is no text."""
    checked = [texts] if isinstance(texts, str) else list(texts)
    if not checked:
        raise InputError("there is no text to annotate")
    for number, text in enumerate(checked):
        if not isinstance(text, str):
            raise InputError(f"text {number} is no text but {text!r} ({type(text).__name__})")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"text {number} holds half a character (a lone surrogate) at {error.start}") from error
    return checked
