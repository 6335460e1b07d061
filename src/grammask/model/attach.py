"""attach, attached, detach: switching a grammar on in a transformers model, and off again without a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from torch import nn

from ..attention.dispatch import check_name
from ..attention.plan import Redraw
from ..errors import ModelError
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy, check_strategy
from .attachment import attach_guide, detach_guide, guide_of
from .guide import Guide
from .strengths import LearnStrengths, check_learnable
from .unwrap import inner_model

Model = TypeVar("Model", bound=nn.Module)


def attach(
    model: Model,
    grammar: Grammar | str | Path,
    strategy: str = "hard",
    *,
    learn_strengths: LearnStrengths | None = None,
    backend: str = "auto",
) -> Model:
    """Guide `model`'s attention by a grammar, in place, and return it. Its weights are untouched.

    From here on the model's forward takes `tag_ids`, `word_ids` and, for sentence reach, `sentence_ids`, each an
    integer tensor (batch, length); `Annotator` makes them. They are not asked for under strategy "full", which is the
    stock model. `learn_strengths` (soft only) makes the strengths a parameter: one tag x tag table per "layer" or per
    "head", starting from the grammar's own. `backend` is how attention is computed: "auto" chooses for every call, see
    `explain_dispatch`; "dense", "sorted", "banded", "mixed" and "biased" are obeyed or refused. All are exact.
    The grammar is saved with the model; see `from_pretrained`.

    Raises `ModelError` for an architecture that cannot be guided or a model that already is, and `GrammarError` for a
    grammar that doesn't fit.
    """
    inner = inner_model(model)
    if learn_strengths is not None and inner is not model:
        raise ModelError(
            f"{type(model).__name__} would not know of strengths that are learned: call grammask.attach(..., "
            "learn_strengths=...) on the model inside, and wrap it then"
        )
    guide = Guide(inner, load_grammar(grammar), check_strategy(strategy), check_name(backend))
    if learn_strengths is not None:
        check_learnable(guide.grammar, guide.strategy, learn_strengths)
    attach_guide(inner, guide, learn_strengths)
    return model


def detach(model: Model) -> Model:
    """Undo `attach`, in place, and return the model: its logits are bit-identical to those before.

    Learned strengths are dropped with the grammar. Raises `ModelError` when the model has no grammar.
    """
    detach_guide(inner_model(model))
    return model


def set_redraw(model: nn.Module, redraw: Redraw | None) -> None:
    """Let an attached model read what `redraw` makes of its grammar's masks, None for the masks; see `Plan`.

    For controls, for ways of training, and for switching off a rule.

    Raises `ModelError` when the model has no grammar.
    """
    guide_of(model).redraw = redraw


def grammar_of(model: nn.Module) -> tuple[Grammar, Strategy]:
    """Return the grammar and the strategy of an attached model; raises `ModelError` when it has none."""
    guide = guide_of(model)
    return guide.grammar, guide.strategy


@contextmanager
def attached(
    model: Model, grammar: Grammar | str | Path, strategy: str = "hard", *, backend: str = "auto"
) -> Iterator[Model]:
    """Guide `model` within a `with` block; the grammar goes with the block, even after an error. See `attach`."""
    attach(model, grammar, strategy, backend=backend)
    try:
        yield model
    finally:
        detach(model)
