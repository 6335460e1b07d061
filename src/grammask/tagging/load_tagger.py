"""Taggers by the names that users type: the one way from a name to a tagger."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import TaggingError
from ..printing import quoted
from .annotator_settings import TRAINED
from .given_pipeline import GivenPipeline, is_pipeline
from .shipped_taggers import ENGLISH, tagger_folder
from .spacy_tagger import DEFAULT_PIPELINE, SentenceSource, SpacyTagger, check_source
from .tag_cache import CachedTagger
from .tagger import Tagger
from .tagger_checks import CheckedTagger

if TYPE_CHECKING:
    from spacy.language import Language

# What makes a tagger of its name and a source of sentences; it raises `TaggingError` for what it cannot make.
Constructor = Callable[[str, SentenceSource], Tagger]


def _spacy(pipeline: str, sentences: SentenceSource) -> Tagger:
    return SpacyTagger(pipeline, sentences=sentences)


def _by_place(name: str, sentences: SentenceSource) -> Tagger:
    """Return the shipped tagger of this name, the trained one of a folder that holds one, or else a spaCy pipeline."""
    if not name or not os.path.isfile(tagger_folder(name) / TRAINED):
        return _spacy(name, sentences)
    if sentences != "sentencizer":
        raise TaggingError(f'the tagger {quoted(name)} parses nothing; take sentences="sentencizer"')
    from .subwords.subword_tagger import SubwordTagger  # torch takes a second to import: only where it is used

    return SubwordTagger.load(name)


# To add a tagger: its module next to `spacy_tagger`, and a line here. Every other name is a shipped tagger's, a
# folder's or a pipeline's.
TAGGERS: Final[dict[str, Constructor]] = {DEFAULT_PIPELINE: _spacy}
# The help of every --tagger.
TAGGER_HELP: Final[str] = (
    f"A spaCy pipeline that gives UPOS tags, by its name or folder; {ENGLISH}, which needs no spaCy; or a trained "
    "tagger's folder."
)


def load_tagger(name: str = DEFAULT_PIPELINE, *, sentences: str = "sentencizer") -> CheckedTagger:
    """Return the tagger of this name, its answers checked; raises `TaggingError` for one that cannot be loaded."""
    return CheckedTagger(TAGGERS.get(name, _by_place)(name, check_source(sentences)))


def make_tagger(
    tagger: "str | Tagger | Language", sentences: SentenceSource, cache: bool | str | Path
) -> CheckedTagger | CachedTagger:
    """Return a tagger by its name, or the one that is given, with what it answers checked and kept on disk."""
    if not isinstance(tagger, str) and sentences != "sentencizer":
        raise TaggingError(
            f"sentences={quoted(sentences)} is for pipelines given by name; give the tagger itself what it needs"
        )
    if not isinstance(cache, bool | str | Path):
        raise TaggingError(f"cache must be True, False or the path of a file, but is {quoted(cache)}")
    if isinstance(tagger, str):
        checked = load_tagger(tagger, sentences=sentences)
    else:
        given: Any = tagger
        checked = CheckedTagger(GivenPipeline(given) if is_pipeline(given) else given)
    if cache is False:
        return checked
    return CachedTagger(checked, None if cache is True else Path(cache))
