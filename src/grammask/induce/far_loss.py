"""A grammar from what the loss says of a model's heads, and how it does on texts that were held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from transformers import PreTrainedModel

from ..errors import InputError
from ..grammar.grammar import Grammar
from ..grammar.tags import UPOS
from ..model.reading_under import reading_under
from ..model.token_losses import token_losses
from .far_costs import FarCosts
from .far_grammar import far_grammar
from .far_reads import Choice, Windows, is_name
from .learn_gates import Bar, learn_gates
from .long_texts import LongText

Losses = Mapping[str, float | None]
_CURVE: Final[tuple[float, ...]] = (0.25, 0.5, 1.0, 2.0)  # of the wide window


@dataclass(frozen=True, eq=False)
class FarGrammar:
    """What heads read, and their windows."""

    choice: Choice
    windows: Windows

    def grammar(self, **named: str) -> Grammar:
        """Return it as a grammar; `named` is its name, description and source."""
        return far_grammar(self.choice, self.windows, **named)


def costs_of(long_texts: Sequence[LongText], tokens: int) -> FarCosts:
    """Return what reading costs in a text of so many tokens, as rich in words and names as these texts."""
    tags = torch.cat([long_text.tag_ids[0, long_text.of_text] for long_text in long_texts])
    words = sum(len(set(long_text.word_ids[0, long_text.of_text].tolist())) for long_text in long_texts)
    return FarCosts(
        max(1, tokens * words // len(tags)), float(is_name(tags).sum() / (tags < len(UPOS)).sum().clamp(min=1))
    )


def find_grammar(
    model: PreTrainedModel, long_texts: Sequence[LongText], costs: FarCosts, *, windows: Windows, budget: float,
    names: bool, steps: int, bar: Bar,
) -> FarGrammar:  # fmt: skip
    """Learn what the heads of a model are to read, within a `budget` of causal pairs; see `learn_gates`.

    The wide window of the grammar is the longest within the budget, whatever it was while heads learned.
    Raises `InputError` for a budget that the learned reads spend without their wide window.
    """
    if budget < costs.window(windows.near):
        raise InputError(
            f"--budget {budget:g} is too small: a window of {windows.near} words alone is "
            f"{costs.window(windows.near):.1%} of the pairs; give a larger budget or smaller --windows"
        )
    choice = learn_gates(
        model, long_texts, costs, windows=windows, budget=budget, names=names, steps=steps, bar=bar
    )  # fmt: skip
    widest = costs.widest(choice, windows.near, budget)
    if widest is None:
        least = costs.pairs(choice, Windows(windows.near, windows.near))
        raise InputError(
            f"--budget {budget:g} is too small: with windows of {windows.near} words alone the heads read {least:.1%} "
            "of the pairs; give a larger budget, more --steps or longer texts"
        )
    return FarGrammar(choice, widest)


def measure(model: PreTrainedModel, long_texts: Sequence[LongText], grammar: Grammar | None) -> Losses:
    """Return the loss, in nats a token: of texts behind their first quarter, names in them, and answers about facts.

    It is None of what these texts don't have.
    """
    losses, of = [], []
    with reading_under(model, grammar):
        for long_text in long_texts:
            annotation = {} if grammar is None else {"tag_ids": long_text.tag_ids, "word_ids": long_text.word_ids}
            losses.append(token_losses(model, {"input_ids": long_text.input_ids, **annotation}, 1))
            of.append(_counted(long_text))
    values, masks = np.concatenate(losses), np.concatenate(of, axis=1)
    return {
        key: float(values[mask].mean()) if mask.any() else None
        for key, mask in zip(("loss", "names_loss", "answers_loss"), masks, strict=True)
    }


def _counted(long_text: LongText) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell which tokens but the first count as text, as names and numbers of it, and as answers: (3, length - 1)."""
    text = long_text.of_text & (torch.arange(len(long_text.of_text)) >= long_text.asked // 4)
    return torch.stack([text, text & is_name(long_text.tag_ids[0]), long_text.of_answers])[:, 1:].numpy()


def curve(
    model: PreTrainedModel, held_out: Sequence[LongText], found: FarGrammar, costs: FarCosts, full: Losses,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return what the same heads lose on held-out texts with other wide windows."""
    rows = []
    for share in _CURVE:
        windows = Windows(found.windows.near, max(found.windows.near, round(share * found.windows.wide)))
        pairs = costs.pairs(found.choice, windows)
        say(f"curve: wide window of {windows.wide} words, {pairs:.1%} of the causal pairs")
        measured = measure(model, held_out, FarGrammar(found.choice, windows).grammar(name="curve"))
        rows.append({"wide": windows.wide, "pairs": pairs, **differences(measured, full)})
    return rows


def differences(measured: Losses, full: Losses) -> Losses:
    """Return how much more is lost than by the model that reads everything, in nats a token; None as in `measure`."""
    pairs = ((key, measured[key], full[key]) for key in full)
    return {f"{key}_difference": None if own is None or its is None else own - its for key, own, its in pairs}
