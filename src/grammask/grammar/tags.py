"""The tag set and its ids: the 17 Universal POS tags and four structural ones.

Universal POS tags: universaldependencies.org/u/pos. A tag's id is its index in `TAGS`; ids are stored in caches
and saved models, so the order never changes.
"""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from ..errors import GrammarError
from ..printing import quoted

UPOS: Final[tuple[str, ...]] = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM",
    "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip
STRUCTURAL: Final[tuple[str, ...]] = ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
TAGS: Final[tuple[str, ...]] = UPOS + STRUCTURAL
"""The 17 Universal POS tags and four structural ones, in the order of their ids.

A tag's id is its index; ids are stored in caches and saved models, so the order never changes.

Example:
    >>> len(grammask.TAGS), grammask.TAGS.index("NOUN"), grammask.TAGS[17:]
    (21, 7, ('[CLS]', '[SEP]', '[PAD]', '[UNK]'))
"""
TAG_IDS: Final[dict[str, int]] = {tag: index for index, tag in enumerate(TAGS)}

CLS: Final[int] = TAG_IDS["[CLS]"]
SEP: Final[int] = TAG_IDS["[SEP]"]
PAD: Final[int] = TAG_IDS["[PAD]"]
UNK: Final[int] = TAG_IDS["[UNK]"]


def check_tags(tags: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return `tags` as a tuple; raise `GrammarError`, naming `where`, on an unknown or repeated one."""
    if not isinstance(tags, list | tuple):
        raise GrammarError(f'{where} must be a list of tags, but is {quoted(tags)}; write for example ["NOUN"]')
    checked = tuple(tags)
    for tag in checked:
        if not isinstance(tag, str) or tag not in TAG_IDS:
            near = get_close_matches(quoted(tag).strip("'").upper(), TAGS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise GrammarError(f"{where}: unknown tag {quoted(tag)}{hint} Tags are: {' '.join(TAGS)}")
    if len(set(checked)) != len(checked):
        repeated = [tag for tag, count in Counter(checked).items() if count > 1]
        raise GrammarError(f"{where}: tag named twice: {' '.join(repeated)}")
    return checked
