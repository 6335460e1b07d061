"""Documents of given lengths, cut from one long text: real words in real order, so that tags are as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..data.film_reviews import film_reviews
from ..errors import InputError
from ..files.read import read_text


@dataclass(frozen=True)
class Documents:
    """Texts of at least the lengths that were asked for; `repeats` says how often the source had to be laid out."""

    texts: tuple[str, ...]
    repeats: int


class Source:
    """A long text and where its tokens are. White space is single spaces; `name` says where the text is from."""

    def __init__(self, name: str, text: str, tokenizer: PreTrainedTokenizerBase) -> None:
        self.name = name
        self.text = " ".join(text.split())
        encoded = tokenizer(self.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        self._spans = np.array(encoded["offset_mapping"]).reshape(-1, 2)
        if not len(self._spans):
            raise InputError(f"{name} holds no text")

    @property
    def tokens(self) -> int:
        """How many tokens the text has."""
        return len(self._spans)

    def cut(self, lengths: Sequence[int], *, seed: int) -> Documents:
        """Return consecutive documents, from a place that `seed` draws, that end with a whole word.

        Each has at least as many tokens as its length says, and a few more where a word is cut. A text that is too
        short is laid out several times, one after the other.
        """
        needed = sum(lengths)
        repeats = -(-needed // self.tokens)
        laid_out = " ".join([self.text] * repeats)
        first = int(np.random.default_rng(seed).integers(0, repeats * self.tokens - needed + 1))
        texts = []
        for length in lengths:
            start = self._place(first, 0)
            end = self._place(first + length - 1, 1)
            start = laid_out.rfind(" ", 0, start + 1) + 1
            space = laid_out.find(" ", end)
            texts.append(laid_out[start : len(laid_out) if space < 0 else space])
            first += length
        return Documents(tuple(texts), repeats)

    def _place(self, token: int, side: int) -> int:
        times, index = divmod(token, self.tokens)
        return times * (len(self.text) + 1) + int(self._spans[index, side])


def ragged_lengths(longest: int, batch_size: int, *, seed: int) -> tuple[int, ...]:
    """Return the lengths of a batch: the first is `longest`, the others lie evenly between its half and itself."""
    others = np.random.default_rng(seed).integers(-(-longest // 2), longest + 1, size=batch_size - 1)
    return (longest, *others.tolist())


def load_source(path: str | None, tokenizer: PreTrainedTokenizerBase) -> Source:
    """Read a UTF-8 file, or for None the built-in sentences, joined; raises `InputError` for what is no text."""
    if path is None:
        return Source("the built-in film-review sentences, joined", " ".join(film_reviews().train.texts), tokenizer)
    return Source(path, read_text(Path(path)), tokenizer)
