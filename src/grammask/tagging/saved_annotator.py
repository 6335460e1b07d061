"""Annotators in folders: their settings as JSON beside the tokenizer's files, and back from a folder or the Hub."""

import logging
from pathlib import Path
from typing import Any, Final, Self, cast

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..errors import ModelError, TaggingError
from ..files.find_file import find_file
from ..files.pin_revision import pin_revision
from ..files.read import parse_json_object, read_bytes
from ..files.write import dump, write_whole
from ..printing import quoted, reason
from .annotator_settings import AnnotatorSettings, read_settings
from .saved_tagger import load_saved
from .subwords.saved_network import Find
from .tag_cache import CachedTagger
from .tagger import Tagger
from .tagger_checks import CheckedTagger

ANNOTATOR_FILE: Final[str] = "grammask_annotator.json"
_LOG = logging.getLogger(__name__)
_TOKENIZER: Final[str] = "tokenizer.json"
_LARGEST: Final[int] = 1 << 20  # bytes


class SavedAnnotator:
    """What an annotator does with folders; its settings and its tokenizer are what is saved."""

    tokenizer: PreTrainedTokenizerBase
    tagger: CheckedTagger | CachedTagger
    _max_length: int | None
    _strict: float | None

    @property
    def settings(self) -> AnnotatorSettings:
        """What is saved of the annotator, besides its tokenizer."""
        return AnnotatorSettings(tagger=self.tagger.settings, max_length=self._max_length, strict=self._strict)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the settings, grammask_annotator.json, the tokenizer, and a trained tagger; see `from_pretrained`.

        Args:
            folder: Where to write, such as a model's folder.

        Raises:
            ExperimentError: For a folder that cannot be written.
        """
        place = Path(folder)
        self.tagger.save_beside(place)
        write_whole(place / ANNOTATOR_FILE, dump(self.settings.model_dump()))
        self.tokenizer.save_pretrained(str(place))

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        tagger: str | Tagger | None = None,
        cache: bool | str | Path = True,
        **hub: Any,
    ) -> Self:
        """Load an annotator that was saved, with the very tagger that it had.

        Args:
            name_or_path: A folder of `save_pretrained`, its own or a guided model's, or a Hub name.
            tagger: Another tagger than the saved one, or one of your own, which is saved by name and version only.
            cache: As for the annotator.
            **hub: Say where the files are: revision, subfolder, cache_dir, token and so on.

        Returns:
            The annotator: its tokenizer, its tagger, its `max_length` and its `strict`.

        Raises:
            TaggingError: Where no annotator was saved and no `tagger` is given; for settings that are damaged; and for
                a tagger that is missing, or another by now in version or content.
            ModelError: Where the tokenizer is missing, or the files cannot be fetched.
        """
        name, made = str(name_or_path), cast(Any, cls)
        hub = pin_revision(name, **hub)
        saved = read_annotator(name, **hub)
        settings = {} if saved is None else {"max_length": saved.max_length, "strict": saved.strict}
        chosen = choose_tagger(saved, tagger, name, lambda file: find_file(name, file, **hub))
        annotator: Self = made(read_tokenizer(name, **hub), **chosen, cache=cache, **settings)
        if saved is not None and (difference := saved.tagger.difference(annotator.settings.tagger)) is not None:
            _LOG.warning("%s was saved with another tagger than asked for: its %s", quoted(name), difference)
        return annotator


def read_annotator(name: str, **hub: Any) -> AnnotatorSettings | None:
    """Read the settings of a folder's annotator, None where it has none; raises `TaggingError` for damaged ones."""
    if (path := find_file(name, ANNOTATOR_FILE, sure=True, **hub)) is None:
        return None
    content = read_bytes(path, error=TaggingError, most=_LARGEST, named=False)
    origin = f"{name}: {ANNOTATOR_FILE}"
    return read_settings(parse_json_object(content, origin=origin, error=TaggingError), origin=origin)


def read_tokenizer(name: str, **hub: Any) -> PreTrainedTokenizerBase:
    """Load a folder's tokenizer; raises `ModelError` where there is none, and for one that brings code of its own."""
    if find_file(name, _TOKENIZER, **hub) is None:
        raise ModelError(f"{quoted(name)} holds no tokenizer ({_TOKENIZER}); save it there: tokenizer.save_pretrained")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **hub)
    except Exception as error:  # transformers raises many kinds for folders that hold no tokenizer
        raise ModelError(f"the tokenizer of {quoted(name)} cannot be loaded: {reason(error)}") from error
    return tokenizer


def choose_tagger(saved: AnnotatorSettings | None, asked: str | Tagger | None, name: str, find: Find) -> dict[str, Any]:
    """Return the arguments for the tagger that is asked for, or else for the saved one; `find` has its files.

    Raises `TaggingError` where neither can be had.
    """
    if asked is not None:
        sentences = None if saved is None else saved.tagger.sentences
        return {"tagger": asked, "sentences": sentences} if isinstance(asked, str) and sentences else {"tagger": asked}
    if saved is None:
        raise TaggingError(
            f"{quoted(name)} was saved without an annotator ({ANNOTATOR_FILE}); say which tagger it was trained with, "
            'such as tagger="en_core_web_sm", or name the annotator before it is saved: grammask.attach(..., '
            "annotator=annotate)"
        )
    return {"tagger": load_saved(saved.tagger, origin=f"the annotator in {quoted(name)}", find=find)}
