"""The controls by name, and what each of them keeps and breaks."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from ...errors import ExperimentError

Kind = Literal["grammar", "tags", "rows"]

# Those that are another grammar in the place of the given one.
GRAMMARS: Final[dict[str, str]] = {
    "window": "every word reads the nearest words, as many as give the same word density; no sinks",
    "window-sinks": "the same window, with the grammar's sinks",
    "offsets": "each head keeps the word offsets that its rules allow most, for all tags alike, at the same density",
    "permuted": "the rules as they are, with the names of the tags exchanged at random",
    "self-sinks": "every word reads itself and the sinks only",
}
# Those that change the tags and leave the grammar.
TAGS: Final[dict[str, str]] = {
    "shuffled": "the tags of each sentence in a random order",
    "lookup": "each word has the tag that it has most often in the training texts; the tagger isn't asked",
}
ROWS: Final[dict[str, str]] = {
    "random": "every token reads as many other words as the grammar lets it, drawn at random",
}
_CORRUPTED: Final = re.compile(r"corrupted-(\d{1,3})")
_CORRUPTED_HELP: Final[str] = "that share of words, in %, has a tag drawn at random"


@dataclass(frozen=True)
class Control:
    """A control: its name, the kind of thing that it changes, and for corrupted tags the share of words."""

    name: str
    kind: Kind
    share: float = 0.0


def find_control(name: str) -> Control:
    """Return the control of this name; raises `ExperimentError` for an unknown one."""
    kinds: tuple[tuple[Kind, dict[str, str]], ...] = (("grammar", GRAMMARS), ("tags", TAGS), ("rows", ROWS))
    for kind, names in kinds:
        if name in names:
            return Control(name, kind)
    match = _CORRUPTED.fullmatch(name)
    if match and 0 < int(match[1]) <= 100:
        return Control(name, "tags", int(match[1]) / 100)
    known = [*GRAMMARS, *TAGS, *ROWS, "corrupted-20"]
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ExperimentError(f"unknown control {name!r}{hint} Controls are: {', '.join(known)} (any share from 1 to 100)")


def describe(name: str) -> str:
    """Say what a control keeps and breaks."""
    return {**GRAMMARS, **TAGS, **ROWS}.get(name, _CORRUPTED_HELP)
