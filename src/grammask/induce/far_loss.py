"""A grammar from what the loss says of a model's heads, and how it does on texts that were held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import InputError
from ..grammar.grammar import Grammar
from ..grammar.tags import UPOS
from ..model.reading_under import reading_under
from ..model.token_losses import token_losses
from .choose_far import choose_far
from .far_costs import FarCosts
from .far_grammar import far_grammar
from .far_reads import Choice
from .head_worth import HeadWorth, head_worth
from .long_texts import LongText, is_name

# Of the window that heads have while their worth is measured; the grammar's own follows from the budget.
_WINDOW: Final[int] = 128
_CURVE: Final[tuple[float, ...]] = (0.6, 0.8, 1.0, 1.4)  # budgets of the curve, times the grammar's


@dataclass(frozen=True)
class FarRecipe:
    """How many heads read everything and how many far names, within a `budget` of the causal pairs of `words` words."""

    full_heads: int
    named_heads: int
    budget: float
    words: int


@dataclass(frozen=True, eq=False)
class FarGrammar:
    """A grammar, what its heads read, and its `window` in words."""

    grammar: Grammar
    choice: Choice
    window: int


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a grammar is measured on: texts as they are, and the same with facts and questions."""

    texts: Sequence[LongText]
    facts: Sequence[LongText]


@dataclass(frozen=True, eq=False)
class FarWorth:
    """What far reading is worth to each head: to foresee texts, and to answer questions about facts far back."""

    texts: HeadWorth
    facts: HeadWorth


def worth_of(
    model: PreTrainedModel, texts: Sequence[LongText], facts: Sequence[LongText], progress: Callable[[int], None]
) -> FarWorth:
    """Return what far reading is worth to each head of a model; see `head_worth`."""
    return FarWorth(*(head_worth(model, read, window=_WINDOW, progress=progress) for read in (texts, facts)))


def costs_of(texts: Sequence[LongText], tokens: int) -> FarCosts:
    """Return what reading costs in a text of so many tokens, as rich in words and names as these texts."""
    tags = torch.cat([text.tag_ids[0] for text in texts])
    words = sum(int(text.word_ids.max()) + 1 for text in texts)
    return FarCosts(
        max(1, tokens * words // len(tags)), float(is_name(tags).sum() / (tags < len(UPOS)).sum().clamp(min=1))
    )


def build(worth: FarWorth, recipe: FarRecipe, costs: FarCosts, **named: str) -> FarGrammar:
    """Return the grammar of a recipe; `named` is its name, description and source.

    Raises `InputError` for a budget that the far reading alone spends.
    """
    choice = choose_far(worth.texts, worth.facts, full=recipe.full_heads, named=recipe.named_heads)
    window = costs.longest_window(choice, recipe.budget)
    if window is None:
        raise InputError(
            f"--budget {recipe.budget:g} leaves nothing for a window: {recipe.full_heads} heads that read everything "
            f"and {recipe.named_heads} that read names spend it; give a larger budget or fewer heads"
        )
    return FarGrammar(far_grammar(choice, window, **named), choice, window)


def measure(model: PreTrainedModel, held_out: HeldOut, grammar: Grammar | None) -> dict[str, float]:
    """Return the loss of held-out texts, in nats a token: of all tokens, names and numbers, and answers about facts."""
    with reading_under(model, grammar):
        of_texts, of_facts = (
            [token_losses(model, _inputs(text, grammar), 1) for text in texts]
            for texts in (held_out.texts, held_out.facts)
        )
    counted, asked = (
        np.concatenate([text.counts[0, 1:].numpy() > 0 for text in texts]) for texts in (held_out.texts, held_out.facts)
    )
    names = np.concatenate([is_name(text.tag_ids[0, 1:]).numpy() for text in held_out.texts])
    losses = np.concatenate(of_texts)
    found = losses[counted], losses[counted & names], np.concatenate(of_facts)[asked]
    return {
        key: float(own.mean()) if len(own) else np.nan
        for key, own in zip(("loss", "names_loss", "facts_loss"), found, strict=True)
    }


def _inputs(text: LongText, grammar: Grammar | None) -> dict[str, Tensor]:
    annotation = {} if grammar is None else {"tag_ids": text.tag_ids, "word_ids": text.word_ids}
    return {"input_ids": text.input_ids, **annotation}


def curve(
    model: PreTrainedModel, held_out: HeldOut, worth: FarWorth, recipe: FarRecipe, costs: FarCosts,
    full: Mapping[str, float], say: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return what grammars of other budgets lose on held-out texts, each with heads in proportion to its budget."""
    rows = []
    for share in _CURVE:
        of_budget = FarRecipe(
            round(recipe.full_heads * share), round(recipe.named_heads * share), recipe.budget * share, recipe.words
        )  # fmt: skip
        say(f"curve: {of_budget.budget:.1%} of the causal pairs")
        found = build(worth, of_budget, costs, name="curve")
        measured = measure(model, held_out, found.grammar)
        rows.append({**asdict(of_budget), "window": found.window, **differences(measured, full)})
    return rows


def differences(measured: Mapping[str, float], full: Mapping[str, float]) -> dict[str, float]:
    """Return how much more is lost than by the model that reads everything, in nats a token."""
    return {f"{key}_difference": measured[key] - full[key] for key in full}
