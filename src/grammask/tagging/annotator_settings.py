"""What an annotator is, as JSON beside a model: its tagger, where it cuts, how strict it is; no code, no path."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import TaggingError
from ..printing import quoted

OWN: Final[str] = "own"
TRAINED: Final[str] = "grammask_tagger.json"  # the settings of a tagger of subwords, which tell its folder
_Text = Annotated[str, Field(min_length=1, max_length=1000)]


class TaggerSettings(BaseModel):
    """What identifies a tagger: two of equal settings answer the same.

    `kind` says how it is loaded, see `load_tagger.SAVED`; one of a user's own is `OWN`, known by name and version, and
    must be given again. `sentences` and `fingerprint`, a hash of all that its tags depend on, are for kinds that have
    them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: _Text
    name: _Text
    version: _Text
    sentences: _Text | None = None
    fingerprint: _Text | None = None

    def describe(self) -> str:
        """Return the tagger in a few words, for messages."""
        parts = (self.name, self.version, self.sentences and f"({self.sentences})")
        return quoted(" ".join(part for part in parts if part))

    def difference(self, other: "TaggerSettings") -> str | None:
        """Say in what `other` differs, with both values; None where nothing does."""
        for part in type(self).model_fields:
            ours, theirs = getattr(self, part), getattr(other, part)
            if ours != theirs:
                return f"{part} is {quoted(theirs)}, not {quoted(ours)}"
        return None


class AnnotatorSettings(BaseModel):
    """The settings of an `Annotator`, all but its tokenizer, which has files of its own, and where tags are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    tagger: TaggerSettings
    max_length: Annotated[int, Field(ge=1)] | None = None
    strict: Annotated[float, Field(ge=0, le=1)] | None = None


def read_settings(data: Mapping[str, Any], *, origin: str) -> AnnotatorSettings:
    """Read settings strictly; raises `TaggingError`, naming `origin` and the key that is wrong."""
    if data.get("format", 0) != 1:
        raise TaggingError(
            f"{origin}: format is {quoted(data.get('format'))}, but this version of grammask reads format 1; update "
            "grammask, or save the annotator again"
        )
    try:
        return AnnotatorSettings.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise TaggingError(f"{origin}: {_complaint(quoted(key), first)}; save the annotator again") from error


def _complaint(key: str, wrong: Mapping[str, Any]) -> str:
    if wrong["type"] == "missing":
        return f"key {key} is missing"
    if wrong["type"] == "extra_forbidden":
        return f"unknown key {key}"
    return f"{key} is {quoted(wrong['input'])}: {wrong['msg']}"
