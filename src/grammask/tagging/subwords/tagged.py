"""From subwords and the network's answers to tagged texts."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..overlap import Integers
from ..tagger import TaggedText
from .pieces import Pieces, text_places
from .word_answers import SENTENCE_ENDS, number_sentences, number_words, tag_words


def read_answers(texts: Sequence[str], pieces: Pieces, answers: Tensor) -> Iterator[TaggedText]:
    """Return the words of texts, from the answers (pieces, OUTPUTS) to their subwords."""
    begins = word_begins(pieces, (answers[:, -1] > 0).numpy())
    words = number_words(torch.from_numpy(begins), torch.ones(len(begins), dtype=torch.bool))
    firsts = begins.nonzero()[0]
    tags = tag_words(answers, words)[: len(firsts)]
    starts, ends = pieces.starts[firsts], np.maximum.accumulate(pieces.ends)[np.append(firsts, len(begins))[1:] - 1]
    places = text_places(texts)
    bounds = np.searchsorted(starts, places)
    opens = np.zeros(len(firsts), dtype=bool)
    opens[bounds[:-1][bounds[:-1] < bounds[1:]]] = True
    closes = _end_sentences("\n".join(texts), starts, ends)
    sentences = number_sentences(tags, torch.from_numpy(closes), torch.from_numpy(opens)).numpy()
    columns = (starts, ends, tags.numpy(), sentences)
    for start, stop, place in zip(bounds, bounds[1:], places, strict=False):
        first = sentences[start] if start < stop else 0
        shifts = (place, place, 0, first)
        yield TaggedText(
            *((column[start:stop] - by).astype(np.int32) for column, by in zip(columns, shifts, strict=True))
        )


def word_begins(pieces: Pieces, said: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where words begin: behind white space, and where it is `said`, but never within a character.

    Byte-level tokenizers split characters; the pieces of one have the same place.
    """
    inside = np.append(False, pieces.starts[1:] < np.maximum.accumulate(pieces.ends)[:-1])[: len(said)]
    begins: NDArray[np.bool_] = (pieces.spaced | said) & ~inside
    return begins


def _end_sentences(text: str, starts: Integers, ends: Integers) -> NDArray[np.bool_]:
    short = (ends - starts == 1).nonzero()[0]
    found = np.zeros(len(starts), dtype=bool)
    found[short] = [text[start] in SENTENCE_ENDS for start in starts[short].tolist()]
    return found
