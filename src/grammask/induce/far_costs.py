"""What far reading costs in a text of a given length: shares of causal pairs, and of the keys that a cache keeps."""

from dataclasses import dataclass

import numpy as np

from .far_reads import FULL, NAMED, NEAR, Choice


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

    def pairs(self, choice: Choice, window: int) -> float:
        """Return the share of causal pairs that heads read, a mean over them."""
        near = self.window(window)
        each = {NEAR: near, NAMED: near + (1 - near) * self.names, FULL: 1.0}
        return float(np.mean([each[int(reads)] for reads in choice.flat]))

    def keys(self, choice: Choice, window: int, key_heads: int) -> float:
        """Return the share of keys that a cache keeps at the end of the text, a mean over key-value heads."""
        layers, heads = choice.shape
        most = choice.reshape(layers, key_heads, heads // key_heads).max(-1)  # each reads no less than the one before
        near = min(1.0, window / self.words)
        each = {NEAR: near, NAMED: near + (1 - near) * self.names, FULL: 1.0}
        return float(np.mean([each[int(reads)] for reads in most.flat]))

    def longest_window(self, choice: Choice, budget: float) -> int | None:
        """Return the longest window within a `budget` of causal pairs, None where not even one word fits."""
        low, high = 0, self.words
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.pairs(choice, middle) <= budget else (low, middle - 1)
        return low or None
