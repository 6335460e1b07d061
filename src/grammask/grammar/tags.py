"""The tag set and its ids: the 17 Universal POS tags and five structural ones.

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
STRUCTURAL: Final[tuple[str, ...]] = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[NEW]")
TAGS: Final[tuple[str, ...]] = UPOS + STRUCTURAL
"""The 17 Universal POS tags and five structural ones, in the order of their ids.

A tag's id is its index; ids are stored in caches and saved models, so the order never changes.
Grammars name all but `[NEW]`, the tag of a word that is being generated.

Example:
    >>> len(grammask.TAGS), grammask.TAGS.index("NOUN"), grammask.TAGS[17:]
    (22, 7, ('[CLS]', '[SEP]', '[PAD]', '[UNK]', '[NEW]'))
"""
# Proper names and numbers: what readers of long texts lose first.
NAMES: Final[tuple[str, ...]] = ("NUM", "PROPN")
TAG_IDS: Final[dict[str, int]] = {tag: index for index, tag in enumerate(TAGS)}

CLS: Final[int] = TAG_IDS["[CLS]"]
SEP: Final[int] = TAG_IDS["[SEP]"]
PAD: Final[int] = TAG_IDS["[PAD]"]
UNK: Final[int] = TAG_IDS["[UNK]"]
NEW: Final[int] = TAG_IDS["[NEW]"]
NAMED: Final[tuple[str, ...]] = TAGS[:NEW]  # the tags that a grammar may name


def check_tags(tags: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return `tags` as a tuple; raise `GrammarError`, naming `where`, on an unknown or repeated one."""
    if not isinstance(tags, list | tuple):
        raise GrammarError(f'{where} must be a list of tags, but is {quoted(tags)}; write for example ["NOUN"]')
    checked = tuple(tags)
    for tag in checked:
        if tag == TAGS[NEW]:
            raise GrammarError(
                f"{where}: [NEW] is the tag of a word that is being generated, which no grammar names: it reads what "
                "any part of speech may read, and is read within bounded reach; leave it out"
            )
        if not isinstance(tag, str) or tag not in NAMED:
            near = get_close_matches(quoted(tag).strip("'").upper(), NAMED, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise GrammarError(f"{where}: unknown tag {quoted(tag)}{hint} Tags are: {' '.join(NAMED)}")
    if len(set(checked)) != len(checked):
        repeated = [tag for tag, count in Counter(checked).items() if count > 1]
        raise GrammarError(f"{where}: tag named twice: {' '.join(repeated)}")
    return checked
