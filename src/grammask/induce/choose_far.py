"""Which heads read everything and which far names, by what far reading is worth to them."""

import numpy as np

from ..errors import InputError
from .far_reads import FULL, NAMED, NEAR, Choice, Floats
from .head_worth import HeadWorth


def choose_far(of_texts: HeadWorth, of_facts: HeadWorth, *, full: int, named: int) -> Choice:
    """Return what heads read: the `full` heads that gain most read everything, `named` of the others far names.

    The first are chosen by texts alone: facts in them are found without reading everything. The others by both, texts
    and facts, since few of the heads that copy names are those that foresee them. Raises `InputError` for more heads
    than the model has.
    """
    heads = of_texts.full.size
    if full + named > heads:
        raise InputError(f"--full-heads {full} and --named-heads {named} are more than the model's {heads} heads")
    choice = np.full(heads, NEAR)
    choice[np.argsort(-of_texts.full.ravel(), kind="stable")[:full]] = FULL
    rest = (choice == NEAR).nonzero()[0]
    names = (_shares(of_texts.names) + _shares(of_facts.names)).ravel()
    choice[rest[np.argsort(-names[rest], kind="stable")[:named]]] = NAMED
    return choice.reshape(of_texts.full.shape)


def _shares(worth: Floats) -> Floats:
    """Return what heads gain as shares of what all that gain do."""
    gained = worth.clip(min=0).sum()
    return worth / gained if gained else worth
