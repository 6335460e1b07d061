"""A spaCy document as a tagged text: its words, their tags and sentences, as columns."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import TaggingError
from ..grammar.tags import TAG_IDS, UPOS
from .tagger import TaggedText

if TYPE_CHECKING:
    from spacy.tokens import Doc


def read_doc(doc: "Doc", name: str) -> TaggedText:
    """Return the words of a document; raises `TaggingError` where the pipeline of this name gave no tags."""
    attributes, tag_of_pos = _attributes()
    columns = doc.to_array(attributes).astype(np.int32)
    tags = tag_of_pos[columns[:, 2]]
    words = tags >= 0
    if len(doc) and not words.any() and not columns[:, 2].any():
        raise TaggingError(
            f"{name} gave no Universal POS tag to {doc.text[:60]!r}; choose a pipeline with a tagger or "
            "morphologizer that sets them"
        )
    # SENT_START is 1 where a sentence starts and -1 elsewhere; a text starts one anyway.
    begins = columns[:, 3] == 1
    begins[:1] = True
    return TaggedText(
        starts=columns[words, 0],
        ends=(columns[:, 0] + columns[:, 1])[words],
        tag_ids=tags[words],
        sentence_ids=(begins.cumsum(dtype=np.int32) - 1)[words],
    )


@cache
def _attributes() -> tuple[list[int | str], NDArray[np.int32]]:
    """Return spaCy's numbers of what we read, and a table from its coarse tags to our tag ids.

    The table says -1 (no word) for whitespace and anything else that is no UPOS tag.
    """
    from spacy.attrs import IDX, LENGTH, POS, SENT_START  # spaCy takes seconds to import: only where it is used
    from spacy.parts_of_speech import IDS

    table = np.full(max(IDS.values()) + 1, -1, dtype=np.int32)
    for tag in UPOS:
        table[IDS[tag]] = TAG_IDS[tag]
    table[IDS["CONJ"]] = TAG_IDS["CCONJ"]  # pipelines trained on version 1 of Universal Dependencies
    return [IDX, LENGTH, POS, SENT_START], table
