"""Tags of the tokens of a batch, on its device and without its text: only what ids say is known."""

import torch
from torch import Tensor

from ...grammar.rules import MAX_OFFSET
from ...grammar.tags import PAD
from ..overlap import NO_WORD
from .network import OUTPUTS, TagNetwork
from .pieces import UNKNOWN_CUE
from .word_answers import number_sentences, number_words, tag_words


@torch.inference_mode()
def tag_tokens(
    network: TagNetwork, structure: Tensor, ends: Tensor, ids: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tags, words and sentences of tokens (batch, length); `mask` is 0 at padding.

    `structure` (vocabulary,) holds the tags of tokens that are no text, -1 for others; `ends` says which tokens end a
    sentence.
    """
    structural = torch.where(mask == 0, PAD, structure[ids])
    real = structural < 0
    opens = real.clone()  # what begins a text
    opens[:, 1:] &= ~real[:, :-1]
    answers = _answer(network, ids, real, opens)
    begins = opens | (real & (answers[..., -1] > 0))
    words = number_words(begins, real)
    tags = torch.where(real, tag_words(answers, words).gather(-1, words.clamp(min=0)), structural)
    sentences = _sentences(tags, words, ends[ids] & begins & _end_words(real, begins), opens, begins)
    # No bounded reach may lead from one text of a pair into the other.
    apart = (opens.cumsum(-1) - 1).clamp(min=0) * (MAX_OFFSET + 1)
    return tags, torch.where(real, words + apart, NO_WORD), torch.where(real, sentences, NO_WORD)


def _answer(network: TagNetwork, ids: Tensor, real: Tensor, opens: Tensor) -> Tensor:
    """Return the network's answers (batch, length, OUTPUTS), zeros where nothing is real."""
    texts = opens.flatten().cumsum(0)[real.flatten()]
    chosen = ids[real]
    found = network.read_texts(chosen, torch.full_like(chosen, UNKNOWN_CUE), texts - 1)
    answers = found.new_zeros(*ids.shape, OUTPUTS)
    answers[real] = found
    return answers


def _end_words(real: Tensor, begins: Tensor) -> Tensor:
    """Tell which tokens are the last of their word."""
    ends = torch.ones_like(real)
    ends[:, :-1] = begins[:, 1:] | ~real[:, 1:]
    return ends


def _sentences(tags: Tensor, words: Tensor, ends: Tensor, opens: Tensor, begins: Tensor) -> Tensor:
    """Return the sentence of each token: that of its word."""
    place = torch.where(begins, words, words.shape[-1])
    of_words = (
        column.new_zeros(words.shape[0], words.shape[1] + 1).scatter_(-1, place, column)
        for column in (tags, ends, opens)
    )
    return number_sentences(*of_words).gather(-1, words.clamp(min=0))
