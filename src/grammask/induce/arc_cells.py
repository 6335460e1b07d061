"""Cells whose gain is dependency arcs, and the arcs of CoNLL-U files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import conllu
import numpy as np
from numpy.typing import NDArray

from ..data.treebank import read_treebank
from ..errors import InputError
from ..grammar.tags import TAG_IDS, UPOS
from .cells import FARTHEST, Cells, Floats, count_cells


@dataclass(frozen=True, eq=False)
class Parse:
    """The words of one text: their int32 tag ids (words,), the arcs (arcs, 2), each a word and its head, and forms."""

    tag_ids: NDArray[np.int32]
    arcs: NDArray[np.int64]
    forms: tuple[str, ...] = ()


def dependent_cells(parses: Sequence[Parse]) -> Cells:
    """Count cells whose gain is the arcs that they cover when the dependent reads its head."""
    pairs, far_pairs = count_cells([parse.tag_ids for parse in parses])
    gain, far_gain = np.zeros((1, *pairs.shape)), np.zeros((1, *far_pairs.shape))
    for parse in parses:
        word, head = parse.arcs.T
        tags, offset = (parse.tag_ids[word], parse.tag_ids[head]), head - word
        near = abs(offset) <= FARTHEST
        np.add.at(gain[0], (tags[0][near], tags[1][near], offset[near] + FARTHEST), 1)
        np.add.at(far_gain[0], (tags[0][~near], tags[1][~near]), 1)
    return Cells(pairs, far_pairs, gain, far_gain)


def reader_cells(parses: Sequence[Parse]) -> Cells:
    """Count cells whose gain is all arcs, each given to one reader.

    An arc is covered when one of its words reads the other. For every two tags, in each order, the reader is the tag
    that is more often the dependent.
    """
    cells = dependent_cells(parses)
    back, far_back = cells.gain.swapaxes(1, 2)[..., ::-1], cells.far_gain.swapaxes(1, 2)
    return Cells(
        cells.pairs, cells.far_pairs, _of_readers(cells.gain, back), np.triu(cells.far_gain) + np.triu(far_back, 1)
    )


def _of_readers(gain: Floats, back: Floats) -> Floats:
    """Give each arc to one reader; `back` is the gain where heads read their dependents."""
    found = np.zeros_like(gain)
    before, after = slice(0, FARTHEST), slice(FARTHEST + 1, None)
    for side in (before, after):
        own, theirs = gain[..., side].sum(-1), back[..., side].sum(-1)
        lower = np.tri(own.shape[1], dtype=np.bool_)  # on a tie one of the two mirrored cells must win
        reads = (own > theirs) | ((own == theirs) & (lower.T if side is after else ~lower))
        found[..., side] = np.where(reads[..., None], (gain + back)[..., side], 0.0)
    return found


def read_conllu(path: Path) -> list[Parse]:
    """Read a CoNLL-U file, plain or gzipped; each sentence is a text. Raises `InputError`."""
    return [_parse(sentence, path) for sentence in read_treebank(path)]


def _parse(sentence: conllu.TokenList, path: Path) -> Parse:
    # Ids like 3-4 are spellings of several words, 3.1 are omitted words: neither is in the tree.
    words = [token for token in sentence if isinstance(token["id"], int)]
    place = {token["id"]: index for index, token in enumerate(words)}
    for token in words:
        if token.get("upos") not in UPOS or (token.get("head") or 0) not in (0, *place):
            where = sentence.metadata.get("sent_id", "without sent_id")
            raise InputError(
                f"{path}, sentence {where}, word {token['id']} ({token['form']}): UPOS is {token.get('upos')!r}, head "
                f"is {token.get('head')!r}; a UPOS tag and the number of a word, or 0, are needed"
            )
    arcs = [(place[token["id"]], place[token["head"]]) for token in words if token["head"]]
    return Parse(
        np.array([TAG_IDS[token["upos"]] for token in words], dtype=np.int32),
        np.array(arcs, dtype=np.int64).reshape(-1, 2),
        tuple(token["form"] for token in words),
    )
