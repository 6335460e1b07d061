"""spaCy's parser as a source of arcs, drawn as Universal Dependencies draws them.

English pipelines of spaCy are trained on another scheme, in which function words head content words: in "looks at the
sea" the sea hangs on "at". Universal Dependencies (universaldependencies.org) joins the content words, "sea" to
"looks", and hangs "at" on "sea". Which words belong together is the better question for a grammar, so prepositions,
copulas and coordinations are redrawn.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..grammar.tags import TAG_IDS, UPOS
from ..tagging.spacy_tagger import load_pipeline
from .arc_cells import Parse

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token


def parse_texts(texts: Sequence[str], pipeline: str) -> Iterator[Parse]:
    """Tag and parse texts; white space is no word. Raises `TaggingError`."""
    for doc in load_pipeline(pipeline, "parser").pipe(texts, batch_size=256):
        yield _parse(doc)


def _parse(doc: "Doc") -> Parse:
    words = [token for token in doc if token.pos_ in UPOS]
    place = {token.i: index for index, token in enumerate(words)}
    arcs = []
    for token in words:
        head = _head(token)
        if head is not None and head.i in place:
            arcs.append((place[token.i], place[head.i]))
    return Parse(
        np.array([TAG_IDS[token.pos_] for token in words], dtype=np.int32),
        np.array(arcs, dtype=np.int64).reshape(-1, 2),
        tuple(token.text for token in words),
    )


def _head(token: "Token") -> "Token | None":
    """Return the head in Universal Dependencies' drawing, None for a root."""
    inside = _content(token)
    if inside.i != token.i:  # a preposition or copula hangs on what it introduces
        return inside
    top = token
    while _content(top.head).i == token.i and top.head.i != top.i:
        top = top.head  # what it introduces takes its place
    if top.dep_ == "ROOT":
        return None
    head = top.head
    while top.dep_ == "conj" and head.dep_ == "conj":
        head = head.head  # all conjuncts hang on the first
    if top.dep_ == "cc":
        following = [other for other in head.conjuncts if other.i > top.i]
        head = following[0] if following else head
    found = _content(head)
    return None if found.i == token.i else found


def _content(token: "Token") -> "Token":
    """Return the content word that a preposition or copula introduces, else the word itself."""
    wanted = ("pobj", "pcomp") if token.dep_ in ("prep", "agent", "dative") else ("attr", "acomp")
    if wanted[0] == "attr" and token.pos_ != "AUX":
        return token
    for child in token.children:
        if child.dep_ in wanted:
            return _content(child)
    return token
