"""Tokens with their annotation: a context, and what is asked or read on behind it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import InputError
from ...tagging.annotate import Annotator

_NUMBERED = ("word_ids", "sentence_ids")


@dataclass(frozen=True, eq=False)
class Passage:
    """Tokens as a model takes them, without special ones behind them.

    `inputs` are tensors (1, length): input_ids, tag_ids, word_ids and sentence_ids. `ends` is the character behind each
    token, 0 for a special one.
    """

    inputs: dict[str, Tensor]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ends)

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """Return the inputs on a device."""
        return {name: ids.to(device) for name, ids in self.inputs.items()}

    def tokens_behind(self, character: int) -> int:
        """Return how many tokens at the end reach beyond a character."""
        return sum(end > character for end in self.ends)

    def until(self, length: int) -> "Passage":
        """Return its first tokens."""
        return Passage({name: ids[:, :length] for name, ids in self.inputs.items()}, self.ends[:length])

    def since(self, start: int) -> "Passage":
        """Return its tokens from a place on."""
        return Passage({name: ids[:, start:] for name, ids in self.inputs.items()}, self.ends[start:])


def read_passage(annotate: Annotator, text: str, *, follows: bool = False) -> Passage:
    """Annotate a text; one that `follows` another has no special tokens before it either.

    Raises `InputError` for a text that the tokenizer would cut.
    """
    encoded = annotate.tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    special, spans = encoded["special_tokens_mask"], encoded["offset_mapping"]
    inputs = annotate.read(text).inputs
    if inputs["input_ids"].shape[1] != len(special):
        raise InputError(f"the tokenizer cuts a text of {len(special):,} tokens; take a smaller --length")
    real = [place for place, mark in enumerate(special) if not mark]
    kept = slice(real[0] if follows else 0, real[-1] + 1)
    names = ("input_ids", "tag_ids", *_NUMBERED)
    ends = tuple(0 if mark else end for mark, (_, end) in zip(special, spans, strict=True))
    return Passage({name: inputs[name][:, kept] for name in names}, ends[kept])


def join_passages(first: Passage, second: Passage) -> Passage:
    """Return two passages as one text; the words and sentences of the second are counted on."""
    joined = {}
    for name, ids in first.inputs.items():
        more = second.inputs[name]
        if name in _NUMBERED:
            more = torch.where(more < 0, more, more + ids.max() + 1)
        joined[name] = torch.cat((ids, more), dim=1)
    return Passage(joined, first.ends + second.ends)
