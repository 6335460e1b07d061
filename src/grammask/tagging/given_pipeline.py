"""spaCy objects that a program has already: a pipeline as a tagger, and documents as tagged texts."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .annotator_settings import OWN, TaggerSettings
from .spacy_columns import read_doc
from .spacy_tagger import SpacyTagger, version_of
from .split_text import SplitText
from .tagger import TaggedText

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc


class GivenPipeline(SpacyTagger):
    """A pipeline that runs as it was given: all its components, and its own sentences where it sets any.

    It is saved by name and version, with a fingerprint of its content, and must be given again where it is loaded.
    """

    def __init__(self, nlp: "Language") -> None:
        super().__init__("", nlp=nlp)
        self.version = version_of(nlp)  # of now: it may be changed later

    def __getstate__(self) -> dict[str, Any]:
        """Return the pipeline itself: no name tells where another process finds it."""
        return dict(vars(self))

    @cached_property
    def settings(self) -> TaggerSettings:
        """What identifies the pipeline."""
        return TaggerSettings(kind=OWN, name=self.name, version=self.version)

    def tag_words(self, texts: Sequence[SplitText]) -> Iterator[TaggedText]:
        """Tag texts that come as words; a pipeline whose tokenizer tags, as Stanza's, splits them anew."""
        if self._nlp.pipe_names:
            return super().tag_words(texts)
        return self.tag([text.text for text in texts])

    def _read(self, doc: "Doc") -> TaggedText:
        return read_doc(with_sentences(doc), self.name)


@dataclass(frozen=True)
class TaggedDoc:
    """A text that is tagged already."""

    text: str
    tagged: TaggedText


def is_pipeline(tagger: Any) -> bool:
    """Tell whether this is a spaCy pipeline, without importing spaCy."""
    return (spacy := sys.modules.get("spacy")) is not None and isinstance(tagger, spacy.Language)


def is_doc(text: Any) -> bool:
    """Tell whether this is a spaCy document, without importing spaCy."""
    return (tokens := sys.modules.get("spacy.tokens")) is not None and isinstance(text, tokens.Doc)


def read_docs(texts: Any) -> Any:
    """Return texts with each document of spaCy's, also of `nlp.pipe`, as a `TaggedDoc`; raises `TaggingError`."""
    if is_doc(texts):
        return [_read(texts)]
    if isinstance(texts, Iterator):
        texts = list(texts)
    if isinstance(texts, list | tuple) and any(map(is_doc, texts)):
        return [_read(text) if is_doc(text) else text for text in texts]
    return texts


def with_sentences(doc: "Doc") -> "Doc":
    """Return a document that has sentences: itself, or a copy with those that punctuation tells."""
    from spacy.pipeline import Sentencizer

    return doc if doc.has_annotation("SENT_START") else Sentencizer()(doc.copy())


def spelled(texts: Iterable[Any]) -> list[Any]:
    """Return the texts of documents, and others as they are."""
    return [text.text if isinstance(text, TaggedDoc) else text for text in texts]


def _read(doc: "Doc") -> TaggedDoc:
    return TaggedDoc(doc.text, read_doc(with_sentences(doc), "the pipeline that made a document"))
