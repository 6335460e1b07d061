"""Annotated random batches."""

from dataclasses import dataclass

import torch
from torch import Tensor

from grammask.grammar.tags import CLS, NEW, PAD, SEP, UPOS


@dataclass
class Batch:
    """A ragged batch: the model's inputs and the annotation, all (batch, length)."""

    inputs: dict[str, Tensor]
    annotation: dict[str, Tensor]

    @property
    def everything(self) -> dict[str, Tensor]:
        return {**self.inputs, **self.annotation}


def random_batch(lengths: tuple[int, ...] = (13, 7, 2, 1), *, seed: int = 0, pad_token_id: int = 1) -> Batch:
    """Return texts of these lengths: [CLS], words of one to three subwords in sentences of five words, [SEP]."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    longest = max(lengths)
    input_ids = torch.full((len(lengths), longest), pad_token_id)
    tag_ids = torch.full((len(lengths), longest), PAD)
    word_ids = torch.full((len(lengths), longest), -1)
    sentence_ids = torch.full((len(lengths), longest), -1)
    for row, length in enumerate(lengths):
        input_ids[row, :length] = torch.randint(8, 120, (length,), generator=generator)
        tag_ids[row, 0] = CLS
        word, left, tag = 0, 0, 0
        for column in range(1, length):
            if column == length - 1:
                tag_ids[row, column] = SEP
                break
            if left == 0:
                left, tag, word = draw(1, 4), draw(0, len(UPOS)), word + 1
            left -= 1
            tag_ids[row, column], word_ids[row, column] = tag, word - 1
            sentence_ids[row, column] = (word - 1) // 5
    inputs = {"input_ids": input_ids, "attention_mask": (tag_ids != PAD).long()}
    return Batch(inputs, {"tag_ids": tag_ids, "word_ids": word_ids, "sentence_ids": sentence_ids})


def with_new_words(batch: Batch, share: float = 0.4, *, seed: int = 0) -> Batch:
    """Return the batch with the tag [NEW] for about this share of its words."""
    words = batch.annotation["word_ids"]
    drawn = torch.rand(len(words), int(words.max()) + 2, generator=torch.Generator().manual_seed(seed)) < share
    new = (words >= 0) & drawn.gather(1, words.clamp(min=0))
    return Batch(batch.inputs, {**batch.annotation, "tag_ids": batch.annotation["tag_ids"].masked_fill(new, NEW)})


def left_padded(batch: Batch) -> Batch:
    """Return the batch with each text's padding before it."""
    turned = {}
    for name, ids in {**batch.inputs, **batch.annotation}.items():
        lengths = batch.inputs["attention_mask"].sum(1).tolist()
        turned[name] = torch.stack([row.roll(len(row) - length) for row, length in zip(ids, lengths, strict=True)])
    return Batch({name: turned[name] for name in batch.inputs}, {name: turned[name] for name in batch.annotation})
