"""The Annotator: from texts to model inputs with the tag, word and sentence of every token."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase

from ..errors import AlignmentError, InputError, TaggingError
from ..printing import quoted
from .align import AlignedText, Aligner
from .cached_tagger import CachedTagger
from .checked_tagger import CheckedTagger, check_all
from .coverage import Coverage
from .encode import encode
from .load_tagger import load_tagger
from .spacy_tagger import DEFAULT_PIPELINE, SentenceSource
from .tagger import TaggedText, Tagger
from .texts import check_pairs, check_texts


@dataclass(frozen=True, eq=False)
class ReadText:
    """One text with what the tagger and the tokenizer made of it; `inputs` are tensors (1, length)."""

    text: str
    tagged: TaggedText
    aligned: AlignedText
    inputs: dict[str, Tensor]


class Annotator:
    """Turns texts into model inputs: input_ids, attention_mask, tag_ids, word_ids and sentence_ids.

    `tokenizer` is a fast transformers tokenizer. `tagger` is the name of a spaCy pipeline or any `Tagger`.
    `sentences` says where a pipeline's sentence numbers come from: the rule-based "sentencizer" or the "parser". Tags
    are cached on disk unless `cache` is False; a path names the cache's file. `strict` is the least share of words that
    must get a subword in every call, below which `AlignmentError` is raised. `coverage` adds up over all calls.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tagger: str | Tagger = DEFAULT_PIPELINE,
        *,
        sentences: SentenceSource = "sentencizer",
        cache: bool | str | Path = True,
        strict: float | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        Aligner(tokenizer)  # one that cannot be aligned says so now
        self.tagger = _make_tagger(tagger, sentences, cache)
        self.coverage = Coverage()
        self._strict = _check_share(strict)

    def __call__(
        self,
        texts: str | Iterable[str],
        pairs: str | Iterable[str] | None = None,
        *,
        max_length: int | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Annotate texts, or sentence pairs where `pairs` holds the second text of each.

        Texts longer than `max_length` tokens (default: what the tokenizer says the model reads) are cut. With
        `return_tensors="pt"` (or "np") the batch is padded into tensors (batch, length), else every text keeps its
        length in lists. Raises `InputError`, `TaggingError` and `AlignmentError`.
        """
        first, second = check_pairs(texts, pairs)
        tagged = self.tagger.tag(first), None if second is None else self.tagger.tag(second)
        return self._join(first, second, *tagged, max_length=max_length, return_tensors=return_tensors)[0]

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
        first, second = check_pairs(texts, pairs)
        if (second is None) != (tagged_pairs is None):
            raise InputError("pairs and tagged_pairs belong together: give both or none")
        tagged = (
            check_all(tagged_texts, first, origin="tagged_texts"),
            None if second is None else check_all(tagged_pairs or (), second, origin="tagged_pairs"),
        )
        return self._join(first, second, *tagged, max_length=max_length, return_tensors=return_tensors)[0]

    def read(self, text: str, *, max_length: int | None = None) -> ReadText:
        """Annotate one text, and return what was found out on the way too; raises what calling does."""
        if not isinstance(text, str):
            raise InputError(f"text must be one text, but is {quoted(text)}")
        texts = check_texts(text)
        tagged = list(self.tagger.tag(texts))
        batch, aligned = self._join(texts, None, tagged, None, max_length=max_length, return_tensors="pt")
        return ReadText(texts[0], tagged[0], aligned[0], dict(batch))

    def _join(
        self,
        first: list[str],
        second: list[str] | None,
        tagged_first: Iterable[TaggedText],
        tagged_second: Iterable[TaggedText] | None,
        *,
        max_length: int | None,
        return_tensors: str | None,
    ) -> tuple[BatchEncoding, list[AlignedText]]:
        encoded = encode(self.tokenizer, first, second, max_length=max_length, return_tensors=return_tensors)
        texts = zip(first, strict=True) if second is None else zip(first, second, strict=True)
        tagged = (
            zip(tagged_first, strict=True) if tagged_second is None else zip(tagged_first, tagged_second, strict=True)
        )
        aligner = Aligner(self.tokenizer)  # tokens may have been added since
        aligned = [
            aligner.align(encoding, text, words)
            for encoding, text, words in zip(encoded.encodings or (), texts, tagged, strict=True)
        ]
        self._count(sum((text.coverage for text in aligned), Coverage()))
        data = {
            **encoded.data,
            "tag_ids": [text.tag_ids.tolist() for text in aligned],
            "word_ids": [text.word_ids.tolist() for text in aligned],
            "sentence_ids": [text.sentence_ids.tolist() for text in aligned],
        }
        return BatchEncoding(data, tensor_type=return_tensors), aligned

    def _count(self, coverage: Coverage) -> None:
        self.coverage += coverage
        if self._strict is not None and coverage.word_share < self._strict:
            raise AlignmentError(
                f"only {coverage.covered_words} of {coverage.words} words ({coverage.word_share:.2%}) got a subword, "
                f"less than strict={self._strict:.2%}; do tokenizer and tagger read the same language?"
            )


def _make_tagger(tagger: str | Tagger, sentences: SentenceSource, cache: bool | str | Path) -> Tagger:
    if not isinstance(tagger, str) and sentences != "sentencizer":
        raise TaggingError(
            f"sentences={sentences!r} is for pipelines given by name; give the tagger itself what it needs"
        )
    if not isinstance(cache, bool | str | Path):
        raise TaggingError(f"cache must be True, False or the path of a file, but is {cache!r}")
    checked = CheckedTagger(load_tagger(tagger, sentences=sentences) if isinstance(tagger, str) else tagger)
    if cache is False:
        return checked
    return CachedTagger(checked, None if cache is True else Path(cache))


def _check_share(strict: Any) -> float | None:
    if strict is None:
        return None
    if isinstance(strict, bool) or not isinstance(strict, int | float) or not 0 <= strict <= 1:
        raise AlignmentError(f"strict is a share of words between 0 and 1, but is {strict!r}")
    return float(strict)
