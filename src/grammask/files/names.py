"""Names that become file names: of grammars, runs and models. One alphabet, checked when a name is read."""

import re
from typing import Final

from ..errors import GrammaskError

LONGEST_NAME: Final[int] = 64
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")
NAME_RULE: Final[str] = (
    f"1 to {LONGEST_NAME} of the letters A-Z and a-z, digits, '.', '_' and '-', starting with a letter or digit"
)


def check_file_name(name: str, *, what: str, error: type[GrammaskError]) -> str:
    """Return `name`; raise `error`, naming `what` it is, unless it can stand in a file name on every system."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
        raise error(f"{what} is {shown!r}, but must be {NAME_RULE}; rename it")
    return name
