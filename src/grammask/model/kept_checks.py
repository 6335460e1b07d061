"""What a cache that lets keys go cannot do exactly, each refused in one line."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from ..attention.kept.board import Board
from ..attention.kept.slots import Tokens
from ..attention.plan import Plan
from ..attention.plan_checks import says_padding
from ..attention.position_mask import PositionMask
from ..errors import InputError, ModelError
from ..grammar.grammar import Grammar
from ..grammar.tags import TAGS

_ANEW: Final[str] = "give the whole text in one call, with a new GrammarCache or after cache.reset()"
_OTHER: Final[str] = "take a DynamicCache"


def check_plan_fits(grammar: Grammar, layers: int, plan: Plan) -> None:
    """Raise `ModelError` for a pass under another grammar or of another model, or one that asks for all keys."""
    if plan.strategy != "hard" or (plan.grammar is not grammar and plan.grammar != grammar):
        raise ModelError(
            f"the GrammarCache is for grammar {grammar.name!r}, hard, but the model has {plan.name or None!r}, "
            f"{plan.strategy}; make one for this model: GrammarCache(model)"
        )
    if len(plan.layer_tables) != layers:
        raise ModelError(
            f"the GrammarCache is for {layers} layers, but the model has {len(plan.layer_tables)}; make one for this "
            "model: GrammarCache(model)"
        )
    if plan.need_weights:
        raise ModelError(
            f"output_attentions=True asks for the weights of all keys, which a GrammarCache lets go; {_OTHER}"
        )
    if plan.mask_transform is not None:
        raise ModelError(f"under a mask transform nobody knows which keys later tokens read; {_OTHER}")


def check_own_mask(plan: Plan, model_mask: Tensor | None, position: PositionMask, queries: int) -> None:
    """Raise `ModelError` for a mask of the model's own that lets later tokens read anything but what is behind them."""
    if not says_padding(plan, model_mask) or (queries > 1 and position.right != 0):
        raise ModelError(
            f"the model has a mask of its own that is more than padding, causality or a sliding window; {_OTHER}"
        )


def check_is_whole(seen: Sequence[int], board: Board | None) -> None:
    """Raise `ModelError` where the layers of a cache didn't read the same tokens."""
    if set(seen) != {0 if board is None else board.seen}:
        raise ModelError(f"an earlier call broke off and left the cache of use to nobody; {_ANEW}")


def check_texts(board: Board, texts: int) -> None:
    """Raise `InputError` for another number of texts than a cache holds."""
    held = len(board.has_lost)
    if texts != held:
        raise InputError(f"the cache holds {held} texts, but the call has {texts}")


def check_known(board: Board, text: Tokens) -> None:
    """Raise `ModelError` where tokens that were let go may be read by the tags and words that they have now."""
    if not bool(board.has_lost.any()) or board.knows(text):
        return
    missed = board.missed(text).nonzero()
    if len(missed):
        row, place = missed[0].tolist()
        raise ModelError(
            f"text {row}, token {place} was let go by a GrammarCache, but may be read by the tags and words that this "
            f"call gives; keep those that it was read by, as generate does, or {_ANEW}"
        )


def check_reads(board: Board, tags: Tensor, words: Tensor) -> None:
    """Raise `ModelError` for new tokens (batch, tokens) that would read what was let go."""
    last = board.text.words.amax(1, keepdim=True)
    goes_back = (words >= 0) & (words < last)
    reads_more = board.patterns.reads_more[tags]
    wrong = (board.has_lost[:, None] & (goes_back | reads_more)).nonzero()
    if not len(wrong):
        return
    row, column = wrong[0].tolist()
    token = f"text {row}, token {board.seen + column}"
    if goes_back[row, column]:
        raise ModelError(
            f"{token} has word {int(words[row, column])}, after word {int(last[row])}: a GrammarCache has let go of "
            f"what earlier words read; {_ANEW}"
        )
    raise ModelError(
        f"{token} has the tag {TAGS[int(tags[row, column])]}, which may read what a GrammarCache has let go; give it "
        f"the tag X and the number of a new word, as generate does, or {_ANEW}"
    )


def check_window(before: int | None, now: int | None, layer: int) -> None:
    """Raise `ModelError` where a layer's own window is another than before."""
    if now != before:
        raise ModelError(
            f"layer {layer} reads {now} tokens before its own, but read {before} in earlier calls; {_ANEW}"
        )


class NoGradient(torch.autograd.Function):
    """Hands on a result that depends on a query by no graph: kept keys have none."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, output: Tensor) -> Tensor:
        """Return the output."""
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        """Raise `ModelError`."""
        raise ModelError(f"a GrammarCache holds no graph, so there are no gradients; for training {_OTHER}")
