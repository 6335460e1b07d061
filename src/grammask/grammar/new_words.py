"""How far back every head reads the words that are being generated, whatever their part of speech will be."""

from collections.abc import Sequence

from ..errors import GrammarError
from .grammar import Grammar
from .tables import ReachTables
from .tags import NEW, UPOS


def check_sentences(grammar: Grammar) -> None:
    """Raise `GrammarError` for rules of sentence reach, which cannot guide generation."""
    if grammar.needs_sentences:
        raise GrammarError(
            f"grammar {grammar.name!r} has rules of sentence reach and cannot guide generation: the sentence of a new "
            "word isn't known; give them a word reach, such as [-32, 0]"
        )


def room_for_new_words(grammar: Grammar, layer_tables: Sequence[Sequence[ReachTables]]) -> int | None:
    """Return how many words may come after a new one before a head with document rules would lose it.

    None where no head reads words at any distance. Raises `GrammarError` where a head would read no new word.
    """
    rooms: list[int] = []
    reaches_back = False
    for layer, tables in enumerate(layer_tables):
        document = tables[0].allowed
        for head in range(len(document)):
            room = _words_back(tables, head)
            reaches_back |= room > 0
            if document[head, NEW, : len(UPOS)].any():
                if not room:
                    where = f"layer {layer}, head {head}" if len(document) > 1 else f"layer {layer}"
                    raise _refusal(grammar, f"in {where}, words read by document reach alone")
                rooms.append(room)
    if not reaches_back:
        raise _refusal(grammar, "no rule lets words read those before them within a word reach")
    return min(rooms, default=None)


def tags_matter(layer_tables: Sequence[Sequence[ReachTables]]) -> bool:
    """Tell whether any head treats a word by its part of speech: whether it hangs on them who reads a new word."""
    words = slice(0, len(UPOS))
    for document, *bounded in layer_tables:
        if bool(document.allowed[:, words, words].any()):
            return True
        for cells in (document.strength, *(cells for table in bounded for cells in (table.allowed, table.strength))):
            of_words = cells[:, words, words]
            if bool((of_words != of_words[:, :1, :1]).any()):
                return True
    return False


def _words_back(tables: Sequence[ReachTables], head: int) -> int:
    """Return the longest run of words before it, from its neighbour on, of which a new word reads all that are new."""
    back = 0
    bounds = [
        (table.reach.hi, table.reach.lo)
        for table in tables
        if table.reach.kind == "words" and bool(table.allowed[head, NEW, NEW])
    ]
    for hi, lo in sorted(bounds, reverse=True):
        if hi >= -back - 1:
            back = max(back, -lo)
    return back


def _refusal(grammar: Grammar, why: str) -> GrammarError:
    return GrammarError(
        f"grammar {grammar.name!r} cannot guide generation: {why}, so nothing would read a new word; add a rule for "
        "all parts of speech with a reach such as [-64, 0]"
    )
