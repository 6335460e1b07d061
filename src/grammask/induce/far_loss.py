"""A grammar from what the loss says of a model's heads, and how it does on texts that were held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from transformers import PreTrainedModel

from ..errors import InputError
from ..grammar.grammar import Grammar
from ..grammar.tags import NAMES, TAG_IDS, UPOS
from ..model.reading_under import reading_under
from ..model.token_losses import token_losses
from ..tagging.annotate import Annotator
from .choose_far import choose_far
from .far_costs import FarCosts
from .far_grammar import far_grammar
from .far_reads import Choice
from .head_worth import HeadWorth, LongText, head_worth

# Of the window that heads have while their worth is measured; the grammar's own follows from the budget.
_WINDOW: Final[int] = 128
_CURVE: Final[tuple[float, ...]] = (0.6, 0.8, 1.0, 1.4)  # budgets of the curve, times the grammar's


@dataclass(frozen=True)
class FarRecipe:
    """How many heads read everything and how many far names, within a `budget` of the causal pairs of `words` words.

    The first `skip` tokens of each text don't count.
    """

    full_heads: int
    named_heads: int
    budget: float
    words: int
    skip: int


@dataclass(frozen=True, eq=False)
class FarGrammar:
    """A grammar, what its heads read, and its `window` in words."""

    grammar: Grammar
    choice: Choice
    window: int


def annotate_texts(annotate: Annotator, texts: Sequence[str], length: int) -> list[LongText]:
    """Return at most `length` tokens of each text, annotated."""
    found = []
    for text in texts:
        inputs = annotate(text, max_length=length, return_tensors="pt")
        found.append(LongText(inputs["input_ids"], inputs["tag_ids"], inputs["word_ids"]))
    return found


def worth_of(
    model: PreTrainedModel, texts: Sequence[LongText], recipe: FarRecipe, progress: Callable[[int], None]
) -> HeadWorth:
    """Return what far reading is worth to each head of a model; see `head_worth`."""
    return head_worth(model, texts, window=_WINDOW, skip=recipe.skip, progress=progress)


def costs_of(texts: Sequence[LongText], tokens: int) -> FarCosts:
    """Return what reading costs in a text of so many tokens, as rich in words and names as these texts."""
    tags = torch.cat([text.tag_ids[0] for text in texts])
    words = sum(int(text.word_ids.max()) + 1 for text in texts)
    named = torch.isin(tags, torch.tensor([TAG_IDS[name] for name in NAMES])).sum()
    return FarCosts(max(1, tokens * words // len(tags)), float(named / (tags < len(UPOS)).sum().clamp(min=1)))


def build(worth: HeadWorth, recipe: FarRecipe, costs: FarCosts, **named: str) -> FarGrammar:
    """Return the grammar of a recipe; `named` is its name, description and source.

    Raises `InputError` for a budget that the far reading alone spends.
    """
    choice = choose_far(worth, full=recipe.full_heads, named=recipe.named_heads)
    window = costs.longest_window(choice, recipe.budget)
    if window is None:
        raise InputError(
            f"--budget {recipe.budget:g} leaves nothing for a window: {recipe.full_heads} heads that read everything "
            f"and {recipe.named_heads} that read names spend it; give a larger budget or fewer heads"
        )
    return FarGrammar(far_grammar(choice, window, **named), choice, window)


def measure(model: PreTrainedModel, texts: Sequence[LongText], grammar: Grammar | None, skip: int) -> dict[str, float]:
    """Return the loss of held-out texts, in nats a token, over all tokens and over names and numbers alone."""
    losses, names = [], []
    with reading_under(model, grammar):
        for text in texts:
            inputs = {"input_ids": text.input_ids}
            if grammar is not None:
                inputs |= {"tag_ids": text.tag_ids, "word_ids": text.word_ids}
            losses.append(token_losses(model, inputs, skip))
            names.append(np.isin(text.tag_ids[0, skip:].numpy(), [TAG_IDS[name] for name in NAMES]))
    together, is_name = np.concatenate(losses), np.concatenate(names)
    return {"loss": float(together.mean()), "names_loss": float(together[is_name].mean()) if is_name.any() else np.nan}


def curve(
    model: PreTrainedModel, texts: Sequence[LongText], worth: HeadWorth, recipe: FarRecipe, costs: FarCosts,
    full: Mapping[str, float], say: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return what grammars of other budgets lose on held-out texts, each with heads in proportion to its budget."""
    rows = []
    for share in _CURVE:
        of_budget = FarRecipe(
            round(recipe.full_heads * share), round(recipe.named_heads * share), recipe.budget * share, recipe.words,
            recipe.skip,
        )  # fmt: skip
        say(f"curve: {of_budget.budget:.1%} of the causal pairs")
        found = build(worth, of_budget, costs, name="curve")
        measured = measure(model, texts, found.grammar, recipe.skip)
        rows.append({**asdict(of_budget), "window": found.window, **differences(measured, full)})
    return rows


def differences(measured: Mapping[str, float], full: Mapping[str, float]) -> dict[str, float]:
    """Return how much more is lost than by the model that reads everything, in nats a token."""
    return {f"{key}_difference": measured[key] - full[key] for key in full}
