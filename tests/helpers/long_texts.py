"""Random annotated texts, as grammars are learned from."""

import torch

from grammask.induce.long_texts import LongText


def long_text(length: int = 40, seed: int = 0, asked: int | None = None) -> LongText:
    """Return random tokens with random parts of speech, some words of two tokens; what follows `asked` are answers."""
    draw = torch.Generator().manual_seed(seed)
    begins = (torch.rand(length, generator=draw) < 0.8).long()
    begins[0] = 1
    word_ids = begins.cumsum(0) - 1
    tags = torch.randint(17, (length,), generator=draw)[word_ids]
    ids, asked = torch.randint(1, 400, (1, length), generator=draw), asked or length - 8
    of_text = torch.arange(length) < asked
    return LongText(ids, tags[None], word_ids[None], of_text, ~of_text, asked)
