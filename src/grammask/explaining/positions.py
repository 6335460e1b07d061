"""From subwords to what a reader sees: words, and the tokens that belong to none."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..inputs import Annotation
from ..tagging.tagged import TaggedText
from ..tags import TAGS


@dataclass(frozen=True, eq=False)
class Positions:
    """The words and structural tokens of one text, in order: what each is called, its tag, and whose tokens it has.

    `of_token` (length,) is the position of each token; `cut` is the number of words that the model doesn't read.
    """

    labels: tuple[str, ...]
    tags: tuple[str, ...]
    is_word: tuple[bool, ...]
    of_token: Tensor
    cut: int

    @property
    def firsts(self) -> Tensor:
        """The first token of each position (positions,)."""
        return torch.tensor([int((self.of_token == number).nonzero()[0]) for number in range(len(self.labels))])

    def summed(self, values: Tensor) -> Tensor:
        """Return values of tokens (..., length) summed over each position (..., positions)."""
        total = torch.zeros(*values.shape[:-1], len(self.labels), dtype=values.dtype)
        return total.index_add_(-1, self.of_token, values)

    def attention(self, weights: Tensor) -> Tensor:
        """Return weights (..., length, length) between positions: summed over a key's tokens, a mean over a query's.

        As in Clark et al. (2019), What Does BERT Look At?; every row still sums to 1.
        """
        by_key = self.summed(weights)
        sizes = torch.bincount(self.of_token, minlength=len(self.labels)).to(weights.dtype)
        return self.summed(by_key.transpose(-1, -2)).transpose(-1, -2) / sizes[:, None]


def find_positions(
    text: str, tagged: TaggedText, annotation: Annotation, input_ids: Tensor, tokenizer: PreTrainedTokenizerBase
) -> Positions:
    """Lay out one text; `input_ids` and the annotation are (1, length)."""
    words, tags = annotation.word_ids[0].tolist(), annotation.tag_ids[0].tolist()
    tokens = tokenizer.convert_ids_to_tokens(input_ids[0].tolist())
    labels: list[str] = []
    found_tags: list[str] = []
    of_token: list[int] = []
    seen: dict[int, int] = {}
    for word, tag, token in zip(words, tags, tokens, strict=True):
        place = seen.get(word) if word >= 0 else None
        if place is None:
            place = len(labels)
            labels.append(text[tagged.starts[word] : tagged.ends[word]] if word >= 0 else token)
            found_tags.append(TAGS[tag])
            if word >= 0:
                seen[word] = place
        of_token.append(place)
    is_word = [False] * len(labels)
    for place in seen.values():
        is_word[place] = True
    cut = len(tagged) - 1 - max(seen, default=-1)
    return Positions(tuple(labels), tuple(found_tags), tuple(is_word), torch.tensor(of_token), cut)
