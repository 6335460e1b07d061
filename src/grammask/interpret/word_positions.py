"""A text as a model reads it, from subwords to what a person sees: words, and the tokens that belong to none."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..errors import ExplainError
from ..grammar.tags import TAGS
from ..model.count_positions import count_positions
from ..printing import quoted
from ..tagging.align import ReadText
from ..tagging.annotate import Annotator
from ..tagging.overlap import NO_WORD


def read_by(model: PreTrainedModel, annotate: Annotator, text: str) -> ReadText:
    """Return one text with its inputs (1, length), cut to what tokenizer and model can hold.

    Raises `ExplainError` for a model that isn't on the CPU, where masks and attention are compared, and for an
    `annotate` that is no `Annotator`.
    """
    if not isinstance(annotate, Annotator):
        raise ExplainError(f"texts are read by an Annotator, but got {quoted(annotate)}")
    if model.device.type != "cpu":
        raise ExplainError(f"the model is on {model.device}; models are explained on the CPU: model.to('cpu')")
    longest = annotate.tokenizer.model_max_length  # tokenizers don't always know
    positions = count_positions(model)
    return annotate.read(text, max_length=longest if positions is None else min(longest, positions))


@dataclass(frozen=True, eq=False)
class Positions:
    """The words and structural tokens of one text, in order: label and tag of each, and the position of each token.

    `of_token` (length,) is the position of each token; `cut` is the number of words that were cut off, at the
    text's beginning where `is_cut_before`, else at its end.
    """

    labels: tuple[str, ...]
    tags: tuple[str, ...]
    is_word: tuple[bool, ...]
    of_token: Tensor
    cut: int
    is_cut_before: bool = False

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


def find_positions(read: ReadText, tokenizer: PreTrainedTokenizerBase) -> Positions:
    """Return the words and structural tokens of one text as the model reads it."""
    words, tags = read.aligned.word_ids.tolist(), read.aligned.tag_ids.tolist()
    tokens = tokenizer.convert_ids_to_tokens(read.inputs["input_ids"][0].tolist())
    spelled = spell_words(read)
    labels: list[str] = []
    found_tags: list[str] = []
    of_token: list[int] = []
    seen: dict[int, int] = {}
    for word, tag, token in zip(words, tags, tokens, strict=True):
        place = seen.get(word) if word >= 0 else None
        if place is None:
            place = len(labels)
            labels.append(spelled.get(word, token))
            found_tags.append(TAGS[tag])
            if word >= 0:
                seen[word] = place
        of_token.append(place)
    is_word = [False] * len(labels)
    for place in seen.values():
        is_word[place] = True
    (found,) = read.aligned.texts
    return Positions(
        tuple(labels), tuple(found_tags), tuple(is_word), torch.tensor(of_token), found.cut_before + found.cut_after,
        is_cut_before=found.cut_before > 0,
    )  # fmt: skip


def spell_words(read: ReadText) -> dict[int, str]:
    """Return the spelling of each word that the model reads, such as "cannot" where the tagger has two words."""
    tagged, numbers = read.tagged, read.aligned.texts[0].numbers.tolist()
    spans: dict[int, tuple[int, int]] = {}
    for number, start, end in zip(numbers, tagged.starts.tolist(), tagged.ends.tolist(), strict=True):
        spans[number] = spans.get(number, (start, end))[0], end
    return {number: read.text[start:end] for number, (start, end) in spans.items() if number != NO_WORD}
