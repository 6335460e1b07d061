"""The grammar in a model's card: a section of README.md, which leaves what others wrote as it is."""

import re
from pathlib import Path
from typing import Final

from ..errors import ModelError
from ..files.read import read_text
from ..files.write import write_whole
from ..printing import printable
from ..tagging.annotator_settings import TaggerSettings

CARD: Final[str] = "README.md"
_BEGIN: Final[str] = "<!-- grammask: this section is written anew whenever the model is saved -->"
_END: Final[str] = "<!-- /grammask -->"
_SECTION: Final = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
_HEADER: Final[str] = "---\nlibrary_name: grammask\ntags:\n- grammask\n---\n\n"


def write_card(folder: Path, grammar: str, strategy: str, tagger: TaggerSettings | None) -> None:
    """Write the section into a folder's card; one that is there keeps all its text around it."""
    file, section = folder / CARD, _section(grammar, strategy, tagger)
    card = read_text(file, error=ModelError, named=False) if file.exists() else _HEADER
    if _SECTION.search(card):
        write_whole(file, _SECTION.sub(lambda _: section, card, count=1))
    else:
        gap = "" if card.endswith("\n\n") else "\n" if card.endswith("\n") else "\n\n"
        write_whole(file, f"{card}{gap if card else ''}{section}\n")


def _section(grammar: str, strategy: str, tagger: TaggerSettings | None) -> str:
    says, given = "Its annotator was not saved: name the tagger that it was trained with", ", tagger=..."
    if tagger is not None:
        words = f"{tagger.name} {tagger.version}" + (f", sentences by {tagger.sentences}" if tagger.sentences else "")
        says, given = (
            f"The parts of speech come from the tagger {_code(words)}",
            ", tagger=..." * (tagger.kind == "own"),
        )
    return (
        f"{_BEGIN}\n## Attention under a grammar\n\n"
        f"This model reads under the grammar {_code(grammar)}, strategy {_code(strategy)}. {says}.\n\n"
        "```py\nimport grammask\n\n"
        f'model, annotate = grammask.load("FOLDER-OR-NAME"{given})\n'
        'outputs = model(**annotate("A text.", return_tensors="pt"))\n```\n'
        f"{_END}"
    )


def _code(text: str) -> str:
    """Return a name as code: whatever it holds is no markup."""
    return f"`{printable(text).replace('`', chr(39)).replace('<', '(').replace('>', ')')}`"
