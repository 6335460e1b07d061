"""Parts of a batch's queries, over which masks are made one at a time."""

from dataclasses import dataclass
from typing import Final

from torch import Tensor

from .blocks.block import ALL
from .inputs import Annotation
from .tracing import is_tracing

# Cells of a mask that is made at a time: 16 MiB in float32. Fewer start more calls of attention, more leave the cache.
MOST_CELLS: Final[int] = 1 << 22
_FEWEST_ROWS: Final[int] = 64  # with fewer queries at a time, attention reads its keys more often than it computes


@dataclass(frozen=True)
class Part:
    """Some texts of a batch, and some of their queries, the first of which stands at the place `shift`."""

    texts: slice
    rows: slice
    shift: int = 0

    @property
    def places(self) -> slice:
        """The places of the queries in the batch."""
        if self.shift == 0:
            return self.rows
        start, stop = self.rows.start or 0, self.rows.stop
        return slice(start + self.shift, None if stop is None else stop + self.shift)

    def of_annotation(self, at: Annotation) -> Annotation:
        """Return the annotation of the part's texts."""
        sentences = None if at.sentence_ids is None else at.sentence_ids[self.texts]
        return Annotation(at.tag_ids[self.texts], at.word_ids[self.texts], sentences)

    def of_mask(self, mask: Tensor) -> Tensor:
        """Return the part of a mask that broadcasts to (batch, heads, query, key)."""
        texts = self.texts if mask.shape[0] > 1 else ALL
        return mask[texts, :, self.rows if mask.shape[2] > 1 else ALL]


WHOLE: Final = Part(ALL, ALL)


def is_large(cells: int) -> bool:
    """Tell whether a mask of so many cells is made in parts."""
    return cells > MOST_CELLS


def parts_of(cells: int, batch: int, queries: int) -> list[Part]:
    """Return the parts of a batch of texts of so many queries, whose mask has `cells`, so that no mask is large."""
    if not is_large(cells) or is_tracing():  # a trace must not depend on the batch's size
        return [WHOLE]
    of_text = cells // batch
    if of_text <= MOST_CELLS:
        step = MOST_CELLS // of_text
        return [Part(slice(start, start + step), ALL) for start in range(0, batch, step)]
    step = max(_FEWEST_ROWS, MOST_CELLS * queries // of_text)
    return [
        Part(slice(text, text + 1), slice(start, min(start + step, queries)))
        for text in range(batch)
        for start in range(0, queries, step)
    ]
