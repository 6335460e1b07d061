"""How far a network's answers are from its lessons, or from what a teacher holds likely."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .lessons import NO_LESSON


def lesson_loss(answers: Tensor, tags: Tensor, begins: Tensor) -> Tensor:
    """Return the loss of answers (pieces, OUTPUTS): of tags, and of where words begin, where they are told."""
    told = begins != NO_LESSON
    of_words = F.binary_cross_entropy_with_logits(answers[told, -1], begins[told].to(answers.dtype))
    return F.cross_entropy(answers[:, :-1], tags, ignore_index=NO_LESSON) + of_words


def teacher_loss(answers: Tensor, said: Tensor) -> Tensor:
    """Return the loss of answers (pieces, OUTPUTS) against `likelihoods` of the same shape."""
    of_words = F.binary_cross_entropy_with_logits(answers[:, -1], said[:, -1])
    return F.cross_entropy(answers[:, :-1], said[:, :-1]) + of_words


def likelihoods(answers: Tensor) -> Tensor:
    """Return how likely each tag is, and that a word begins: what answers (..., OUTPUTS) say."""
    return torch.cat([answers[..., :-1].softmax(-1), answers[..., -1:].sigmoid()], -1)
