"""What reads cost in a text of a given length: shares of causal pairs, and of the keys that a cache keeps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .far_reads import FULL, NAMED, READS, Choice, Windows


@dataclass(frozen=True)
class FarCosts:
    """A text of `words` words, of which the share `names` are names and numbers."""

    words: int
    names: float

    def window(self, window: int) -> float:
        """Return the share of causal pairs that lie within a window of so many words."""
        back = min(window, self.words - 1)
        # Each word has itself and up to `back` words before it.
        inside = self.words * (back + 1) - back * (back + 1) / 2
        return inside / (self.words * (self.words + 1) / 2)

    def of_reads(self, windows: Windows) -> NDArray[np.float64]:
        """Return the share of causal pairs of each read, (reads,)."""
        return np.array([self._with_names(read, self.window(windows.of(read))) for read in range(READS)])

    def pairs(self, choice: Choice, windows: Windows) -> float:
        """Return the share of causal pairs that heads read, a mean over them."""
        return float(self.of_reads(windows)[choice].mean())

    def keys(self, choice: Choice, windows: Windows, key_heads: int) -> float:
        """Return the share of keys that a cache keeps at the end of the text, a mean over key-value heads."""
        layers, heads = choice.shape
        own = choice.reshape(layers * key_heads, heads // key_heads)
        # Heads that share keys keep the longest of their windows, and names where one of them reads names.
        spans = np.array([min(1.0, windows.of(read) / self.words) for read in range(READS)])[own].max(1)
        kept = np.where(np.isin(own, NAMED).any(1), spans + (1 - spans) * self.names, spans)
        return float(np.where((own == FULL).any(1), 1.0, kept).mean())

    def widest(self, choice: Choice, near: int, budget: float) -> Windows | None:
        """Return the windows whose `wide` is the longest within a `budget` of causal pairs, None where none fits."""
        low, high = 0, self.words
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.pairs(choice, Windows(near, middle)) <= budget
            low, high = (middle, high) if fits else (low, middle - 1)
        return Windows(near, low) if low >= near else None

    def _with_names(self, read: int, near: float) -> float:
        if read == FULL:
            return 1.0
        return near + (1 - near) * self.names if read in NAMED else near
