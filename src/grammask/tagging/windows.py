"""Windows of long texts: each token of a window has the tag, word and sentence that it has in the whole text."""

import numpy as np
from tokenizers import Encoding

from .align import AlignedText, Aligner
from .coverage import Coverage
from .overlap import NO_WORD, Integers


def align_windows(
    aligner: Aligner, whole: Encoding, aligned: AlignedText, windows: list[Encoding], *, split: bool
) -> list[AlignedText]:
    """Return the tokens of each window of a text (or pair) that was aligned as a `whole`.

    The first window has the coverage of the whole, so that what is added up counts each word once.
    """
    tokens = aligner.tokens(whole, split)  # once for all windows: there are many of a long text
    found = [_window(aligner, tokens, whole.n_sequences, aligned, window, split) for window in windows]
    nothing = [Coverage()] * (len(windows) - 1)
    return [
        AlignedText(*columns, aligned.texts, coverage)
        for columns, coverage in zip(found, [aligned.coverage, *nothing], strict=True)
    ]


def _window(
    aligner: Aligner,
    whole: tuple[Integers, Integers],
    count: int,
    aligned: AlignedText,
    window: Encoding,
    split: bool,
) -> tuple[Integers, Integers, Integers]:
    tag_ids = aligner.structure(window)
    word_ids, sentence_ids = np.full((2, len(tag_ids)), NO_WORD, dtype=np.int64)
    tokens, sequences = whole
    part, part_sequences = aligner.tokens(window, split)
    for number in range(count):
        inside, there = part_sequences == number, (sequences == number).nonzero()[0]
        same = there[_place(tokens[there], part[inside]) :][: inside.sum()]
        tag_ids[inside] = aligned.tag_ids[same]
        word_ids[inside] = aligned.word_ids[same]
        sentence_ids[inside] = aligned.sentence_ids[same]
    return tag_ids, word_ids, sentence_ids


def _place(tokens: Integers, part: Integers) -> int:
    """Return where a run of tokens begins in a text: of the places with its ids, the one with most of its spans.

    Spans alone don't tell: byte-level tokenizers trim those of a window's first tokens in another way.
    """
    size = len(part)
    if not size:
        return 0
    runs = [
        (int((tokens[start : start + size] == part).sum()), -start)
        for start in (tokens[: len(tokens) - size + 1, 0] == part[0, 0]).nonzero()[0]
        if np.array_equal(tokens[start : start + size, 0], part[:, 0])
    ]
    return int(-max(runs)[1])
