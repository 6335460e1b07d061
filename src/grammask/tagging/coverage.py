"""Coverage: how well words and subwords met."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from ..errors import AlignmentError
from ..printing import quoted


@dataclass(frozen=True)
class Coverage:
    """How well words and subwords met: counts that add up over texts, by `+` and `total`.

    Args:
        words: The tagger's words, but not those that truncation cut off.
        covered_words: Those of them that a subword overlaps.
        merged_words: Those of these that no subword is of: their only one carries the tag of a word that it overlaps
            more ("not" in a tokenizer's "cannot"), or is a special token.
        subwords: The subwords of texts.
        covered_subwords: Those of them that belong to a word.
        cut_words: Words that truncation cut off.
        tokens: The subwords and the tokens around them, all but padding.
        unknown_tokens: Those of them that are tagged [UNK], which read everything and are read by all.

    Raises:
        AlignmentError: By `total`, for a column that `return_coverage=True` didn't make.

    Example:
        >>> column = [[4, 4, 0, 5, 5, 0, 7, 0], [3, 2, 0, 3, 3, 0, 5, 0]]  # of return_coverage=True
        >>> total = grammask.Coverage.total(column)
        >>> total.words, total.covered_words, round(total.word_share, 3)
        (7, 6, 0.857)
    """

    words: int = 0
    covered_words: int = 0
    merged_words: int = 0
    subwords: int = 0
    covered_subwords: int = 0
    cut_words: int = 0
    tokens: int = 0
    unknown_tokens: int = 0

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def total(cls, column: Iterable[Sequence[int]]) -> "Coverage":
        """Add up a column of `return_coverage`, whichever processes made it; raises `AlignmentError` for another."""
        try:
            return sum((cls(*map(int, counts)) for counts in column), cls())
        except (TypeError, ValueError) as error:
            raise AlignmentError(
                f"a column of coverage has {len(fields(cls))} counts for each text, as return_coverage=True gives"
            ) from error

    @property
    def word_share(self) -> float:
        """The share of words that a subword overlaps; 1 where there are no words."""
        return self.covered_words / self.words if self.words else 1.0

    @property
    def subword_share(self) -> float:
        """The share of subwords that belong to a word; 1 where there are none."""
        return self.covered_subwords / self.subwords if self.subwords else 1.0

    @property
    def unknown_share(self) -> float:
        """The share of tokens that are tagged [UNK]; 0 where there are none."""
        return self.unknown_tokens / self.tokens if self.tokens else 0.0

    def check(self, least: float | None) -> None:
        """Raise `AlignmentError` when a smaller share of words than `least` got a subword; None asks for none."""
        if least is not None and self.word_share < least:
            raise AlignmentError(
                f"only {self.covered_words} of {self.words} words ({self.word_share:.2%}) got a subword, "
                f"less than strict={least:.2%}; do tokenizer and tagger read the same language?"
            )


def check_share(strict: Any) -> float | None:
    """Return `strict`; raise `AlignmentError` unless it is None or a share from 0 to 1."""
    if strict is None:
        return None
    if isinstance(strict, bool) or not isinstance(strict, int | float) or not 0 <= strict <= 1:
        raise AlignmentError(f"strict is a share of words between 0 and 1, but is {quoted(strict)}")
    return float(strict)
