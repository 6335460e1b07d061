"""The texts of all cases: cut, tagged and tokenized once for each batch size and length."""

from collections.abc import Mapping

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..errors import ExperimentError
from ..model.guide import INPUTS
from ..tagging.annotate import Annotator
from ..tagging.tagger import Tagger
from .documents import Source, ragged_lengths


class Texts:
    """Gives batches from one source. `uncached` is an annotator that tags every text anew.

    `repeats` is how often the source had to be laid out for the longest batch so far.
    """

    def __init__(self, source: Source, tokenizer: PreTrainedTokenizerBase, tagger: Tagger, *, seed: int) -> None:
        self.tagger = tagger
        self.uncached = Annotator(tokenizer, tagger, cache=False)
        self.repeats = 1
        self._source = source
        self._seed = seed
        self._whole: dict[tuple[int, int], Mapping[str, Tensor]] = {}
        self._ragged: dict[tuple[int, int], Mapping[str, Tensor]] = {}

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

    def ragged(self, batch_size: int, length: int) -> tuple[str, ...]:
        """Return texts of different lengths, the longest of `length` tokens."""
        return self._cut(ragged_lengths(length, batch_size, seed=self._seed))

    def ragged_batch(self, batch_size: int, length: int) -> Mapping[str, Tensor]:
        """Return the same texts as a model's inputs, padded."""
        key = (batch_size, length)
        if key not in self._ragged:
            self._ragged[key] = self._annotate(self.ragged(batch_size, length), length)
        return self._ragged[key]

    def _cut(self, lengths: tuple[int, ...]) -> tuple[str, ...]:
        documents = self._source.cut(lengths, seed=self._seed)
        self.repeats = max(self.repeats, documents.repeats)
        return documents.texts

    def _annotate(self, texts: tuple[str, ...], length: int) -> Mapping[str, Tensor]:
        batch: Mapping[str, Tensor] = self.uncached(texts, max_length=length, return_tensors="pt").data
        return batch
