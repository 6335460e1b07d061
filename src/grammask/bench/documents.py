"""Documents of given lengths, cut from one long text so that words and tags come in real order, and their batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..data.film_reviews import film_reviews
from ..errors import ExperimentError, InputError
from ..files.read import read_text
from ..model.wrappers import INPUTS
from ..tagging.annotate import Annotator
from ..tagging.tagger import Tagger


@dataclass(frozen=True)
class Documents:
    """Texts of at least the lengths that were asked for; `repeats` is how often the long text was needed for them."""

    texts: tuple[str, ...]
    repeats: int


class LongText:
    """A long text and where its tokens are. White space becomes single spaces; `name` says where the text is from."""

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
        short is repeated.
        """
        needed = sum(lengths)
        repeats = -(-needed // self.tokens)
        repeated = " ".join([self.text] * repeats)
        first = int(np.random.default_rng(seed).integers(0, repeats * self.tokens - needed + 1))
        texts = []
        for length in lengths:
            start = self._place(first, 0)
            end = self._place(first + length - 1, 1)
            start = repeated.rfind(" ", 0, start + 1) + 1
            space = repeated.find(" ", end)
            texts.append(repeated[start : len(repeated) if space < 0 else space])
            first += length
        return Documents(tuple(texts), repeats)

    def _place(self, token: int, side: int) -> int:
        times, index = divmod(token, self.tokens)
        return times * (len(self.text) + 1) + int(self._spans[index, side])


def ragged_lengths(longest: int, batch_size: int, *, seed: int) -> tuple[int, ...]:
    """Return the lengths of a batch: the first is `longest`, the others lie evenly between its half and itself."""
    others = np.random.default_rng(seed).integers(-(-longest // 2), longest + 1, size=batch_size - 1)
    return (longest, *others.tolist())


def load_long_text(path: str | None, tokenizer: PreTrainedTokenizerBase) -> LongText:
    """Read a UTF-8 file, or for None the built-in sentences, joined; raises `InputError` for what is no text."""
    if path is None:
        return LongText("the built-in film-review sentences, joined", " ".join(film_reviews().train.texts), tokenizer)
    return LongText(path, read_text(Path(path)), tokenizer)


class DocumentBatches:
    """Batches of documents, cut, tagged and tokenized once for each batch size and length.

    `uncached` is an annotator that tags every text anew. `repeats` is how often the long text was needed for the
    longest batch so far.
    """

    def __init__(self, long_text: LongText, tokenizer: PreTrainedTokenizerBase, tagger: Tagger, *, seed: int) -> None:
        self.tagger = tagger
        self.uncached = Annotator(tokenizer, tagger, cache=False)
        self.repeats = 1
        self._long_text = long_text
        self._seed = seed
        self._whole: dict[tuple[int, int], Mapping[str, Tensor]] = {}
        self._batches: dict[tuple[int, int, bool], Mapping[str, Tensor]] = {}

    def whole(self, batch_size: int, length: int) -> Mapping[str, Tensor]:
        """Return tag_ids, word_ids and sentence_ids (batch_size, length) without padding."""
        key = (batch_size, length)
        if key not in self._whole:
            batch = self._annotate(self._cut((length,) * batch_size), length)
            if not bool(batch["attention_mask"].all()):
                raise ExperimentError(
                    f"texts cut at {length} tokens came out shorter: {batch['attention_mask'].sum(1)}"
                )
            self._whole[key] = {name: batch[name] for name in INPUTS}
        return self._whole[key]

    def texts(self, batch_size: int, length: int, *, padded: bool) -> tuple[str, ...]:
        """Return texts of `length` tokens; where a batch of them is to be `padded`, the longest has as many."""
        lengths = ragged_lengths(length, batch_size, seed=self._seed) if padded else (length,) * batch_size
        return self._cut(lengths)

    def batch(self, batch_size: int, length: int, *, padded: bool) -> Mapping[str, Tensor]:
        """Return the same texts as a model's inputs."""
        key = (batch_size, length, padded)
        if key not in self._batches:
            self._batches[key] = self._annotate(self.texts(batch_size, length, padded=padded), length)
        return self._batches[key]

    def _cut(self, lengths: tuple[int, ...]) -> tuple[str, ...]:
        documents = self._long_text.cut(lengths, seed=self._seed)
        self.repeats = max(self.repeats, documents.repeats)
        return documents.texts

    def _annotate(self, texts: tuple[str, ...], length: int) -> Mapping[str, Tensor]:
        batch: Mapping[str, Tensor] = self.uncached(texts, max_length=length, return_tensors="pt").data
        return batch
