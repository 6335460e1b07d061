"""Which heads read everything and which far names, by what far reading is worth to them."""

import numpy as np

from ..errors import InputError
from .far_reads import FULL, NAMED, NEAR, Choice
from .head_worth import HeadWorth


def choose_far(worth: HeadWorth, *, full: int, named: int) -> Choice:
    """Return what heads read: the `full` heads that gain most read everything, `named` of the others far names.

    Raises `InputError` for more heads than the model has.
    """
    heads = worth.full.size
    if full + named > heads:
        raise InputError(f"--full-heads {full} and --named-heads {named} are more than the model's {heads} heads")
    choice = np.full(heads, NEAR)
    choice[np.argsort(-worth.full.ravel(), kind="stable")[:full]] = FULL
    rest = (choice == NEAR).nonzero()[0]
    choice[rest[np.argsort(-worth.names.ravel()[rest], kind="stable")[:named]]] = NAMED
    return choice.reshape(worth.full.shape)
