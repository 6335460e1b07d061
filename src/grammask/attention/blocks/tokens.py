"""Tags, words and sentences of tokens in the form in which look-ups compare them."""

from dataclasses import dataclass
from typing import Final

from torch import Tensor

_FAR: Final[int] = 1 << 29  # an offset beyond every reach, for tokens that belong to no word


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tags, words and sentences of tokens, ready for comparing: int32 (..., tokens), half the memory of int64.

    Structural tokens lie beyond every reach: their words are below all as queries and above all as keys, and their
    sentences as queries and as keys differ. Sentences are None where the grammar needs none.
    """

    tags: Tensor
    query_words: Tensor
    key_words: Tensor
    query_sentences: Tensor | None = None
    key_sentences: Tensor | None = None

    @classmethod
    def of(cls, tags: Tensor, words: Tensor, sentences: Tensor | None) -> "Tokens":
        """Make them from an annotation, where -1 means no word and no sentence."""
        words = words.int()
        structural = words < 0
        known = tags.int(), words.masked_fill(structural, -_FAR), words.masked_fill(structural, _FAR)
        if sentences is None:
            return cls(*known)
        sentences = sentences.int()
        none = sentences < 0
        return cls(*known, sentences.masked_fill(none, -2), sentences.masked_fill(none, -3))

    def at(self, positions: Tensor | slice | tuple[slice, ...]) -> "Tokens":
        """Select tokens; `positions` may have any shape."""
        return Tokens(
            self.tags[positions],
            self.query_words[positions],
            self.key_words[positions],
            None if self.query_sentences is None else self.query_sentences[positions],
            None if self.key_sentences is None else self.key_sentences[positions],
        )
