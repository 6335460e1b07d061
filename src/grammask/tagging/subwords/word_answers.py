"""From the network's answers to words: where they begin, the tag of each, and the sentences that they make.

A word is a run of subwords. White space parts words, always; else the network says where one begins. A sentence ends
behind a word that is one of `SENTENCE_ENDS`, and the punctuation that follows it, as spaCy's sentencizer has it.
"""

from typing import Final

import torch
from torch import Tensor

from ...grammar.tags import TAG_IDS, UPOS

# Unicode's Sentence_Terminal.
SENTENCE_ENDS: Final[frozenset[str]] = frozenset(
    "!.?\u0589\u061e\u061f\u06d4\u0700\u0701\u0702\u07f9\u0837\u0839\u083d\u083e\u0964\u0965\u104a\u104b\u1362\u1367"
    "\u1368\u166e\u1735\u1736\u1803\u1809\u1944\u1945\u1aa8\u1aa9\u1aaa\u1aab\u1b5a\u1b5b\u1b5e\u1b5f\u1c3b\u1c3c"
    "\u1c7e\u1c7f\u203c\u203d\u2047\u2048\u2049\u2e2e\u2e3c\u3002\ua4ff\ua60e\ua60f\ua6f3\ua6f7\ua876\ua877\ua8ce"
    "\ua8cf\ua92f\ua9c8\ua9c9\uaa5d\uaa5e\uaa5f\uaaf0\uaaf1\uabeb\ufe52\ufe56\ufe57\uff01\uff0e\uff1f\uff61"
)
_PUNCT: Final[int] = TAG_IDS["PUNCT"]


def number_words(begins: Tensor, real: Tensor) -> Tensor:
    """Return the word of each real subword (..., length), counted along each row, and -1 for what isn't real."""
    return torch.where(real, (begins & real).cumsum(-1) - 1, -1)


def tag_words(answers: Tensor, words: Tensor) -> Tensor:
    """Return the tag of each word (..., length), by what the network says of all of its subwords together.

    Row by row the words stand at their numbers; what is behind the last one has no meaning.
    """
    place = words.clamp(min=0).unsqueeze(-1).expand(*words.shape, len(UPOS))
    said = answers[..., : len(UPOS)] * (words >= 0).unsqueeze(-1)
    return torch.zeros_like(said).scatter_add_(-2, place, said).argmax(-1)


def number_sentences(tag_ids: Tensor, ends: Tensor, first: Tensor) -> Tensor:
    """Return the sentence of each word (..., words), counted along each row.

    `ends` are words that end a sentence, `first` those that begin a text: they begin a sentence, too.
    """
    loud = first | ~((tag_ids == _PUNCT) | ends)
    ended = ends.long().cumsum(-1) - ends.long()  # before each word
    seen = torch.where(loud, ended, 0).cummax(-1).values.roll(1, -1)
    seen[..., :1] = 0
    return (first | (loud & (ended > seen))).cumsum(-1) - 1
