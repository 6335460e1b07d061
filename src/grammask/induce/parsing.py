"""spaCy's parser as a source of arcs, drawn as Universal Dependencies draws them.

spaCy's English pipelines are trained on a scheme in which function words head content words: in "looks at the sea" the
head of "sea" is "at". In Universal Dependencies (universaldependencies.org) content words head each other: "looks"
heads "sea", and "sea" heads "at". A grammar is about words that belong together, so prepositions, copulas and
coordinations are redrawn in this way.
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
    """Return the head according to Universal Dependencies, None for a root."""
    inside = _content(token)
    if inside.i != token.i:  # the head of a preposition or copula is what it introduces
        return inside
    top = token
    while _content(top.head).i == token.i and top.head.i != top.i:
        top = top.head  # what it introduces stands for it
    if top.dep_ == "ROOT":
        return None
    head = top.head
    while top.dep_ == "conj" and head.dep_ == "conj":
        head = head.head  # the first conjunct heads all others
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
