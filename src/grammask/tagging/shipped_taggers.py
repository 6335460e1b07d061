"""The taggers that come with grammask, by their names: each is a folder of `shipped`."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from ..files.read import expand_home

ENGLISH: Final[str] = "english-subwords"
SHIPPED: Final[tuple[str, ...]] = (ENGLISH,)


def tagger_folder(name: str) -> Path:
    """Return the folder of a shipped tagger, or the one that a user means, which may hold none."""
    return Path(str(files("grammask") / "tagging" / "shipped" / name)) if name in SHIPPED else expand_home(name)
