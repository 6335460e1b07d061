"""Whether a grammar lets a token read by a tag that its own future decided.

A tagger looks a few words ahead, so a word's tag may hang on words that stand after a query. No harm is done where tags
decide nothing about the nearest words, and where what a word reads doesn't hang on its own tag.
"""

from typing import Final

import torch
from torch import Tensor

from ...grammar.grammar import Grammar
from ...grammar.tables import ReachTables, compile_layers
from ...grammar.tags import UPOS

LOOKAHEAD: Final[int] = 4  # words that spaCy's small models see to each side
_WORDS: Final[slice] = slice(0, len(UPOS))


def reads_by_tags(grammar: Grammar, *, layers: int, heads: int) -> bool:
    """Tell whether the tags of words decide anything, in any layer and head."""
    compiled = compile_layers(grammar, layers=layers, heads=heads)
    return any(bool(_varies(_of_words(table).flatten(1)).any()) for tables in compiled for table in tables)


def warn_of_future(grammar: Grammar, *, layers: int, heads: int) -> str:
    """Return in words how tags of the future decide what is read, nothing where they don't."""
    keys = queries = 0
    for tables in compile_layers(grammar, layers=layers, heads=heads):
        keys += _count(_near_keys_differ(tables), heads)
        queries += _count(torch.stack([_varies(_of_words(table)).any(1) for table in tables]).any(0), heads)
    near = f"tags decide what is read within {LOOKAHEAD} words, as far as the tagger looks ahead, in {keys}"
    own = f"a word's own tag decides what it reads in {queries}"
    said = "; ".join(part for part, count in ((near, keys), (own, queries)) if count)
    return f"{said} of {layers * heads} heads" if said else ""


def _count(found: Tensor, heads: int) -> int:
    """Return how many heads are marked, where one mark may stand for all."""
    return int(found.sum()) * (heads // len(found))


def _near_keys_differ(tables: tuple[ReachTables, ...]) -> Tensor:
    """Return in which heads tags decide about a word within the look-ahead: bool (heads,)."""
    differ = torch.zeros(len(tables[0].allowed), dtype=torch.bool)
    for offset in range(-LOOKAHEAD, 0):
        reached = [_of_words(table) for table in tables if _reaches(table, offset)]
        differ |= _varies(torch.stack(reached).any(0).flatten(1))
    return differ


def _reaches(table: ReachTables, offset: int) -> bool:
    reach = table.reach
    return reach.kind == "document" or (reach.kind == "words" and reach.lo <= offset <= reach.hi)


def _of_words(table: ReachTables) -> Tensor:
    return table.allowed[:, _WORDS, _WORDS]


def _varies(allowed: Tensor) -> Tensor:
    """Return where a table says different things along its second axis."""
    return allowed.any(1) != allowed.all(1)
