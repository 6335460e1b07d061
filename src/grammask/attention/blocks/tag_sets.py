"""Sets of tags as arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...grammar.tags import TAGS


def occurring(tags: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct tags, ascending."""
    return np.flatnonzero(np.bincount(tags))


def table_of(tags: Sequence[int]) -> NDArray[np.bool_]:
    """Return which tags are among `tags` (TAGS,), to look tokens up in."""
    table: NDArray[np.bool_] = np.isin(np.arange(len(TAGS)), tags)
    return table
